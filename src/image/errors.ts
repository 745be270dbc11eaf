/** Errors about the content of images. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import { type ByteString, displayName } from "./tree/byte_string.ts";

/**
 * Base class of errors about an image's content or delivery; catch it to handle them all. A missing image and one in
 * use have their own classes: `ImageNotFoundError` and `ImageInUseError`.
 */
export abstract class ImageError extends MicrosandboxError {}

/**
 * A tar that cannot become a file tree: damaged, cut short, in an unsupported compression, over a limit, or with a
 * member that no Linux directory could hold. Code `"tarInvalid"`.
 */
export class TarInvalidError extends ImageError {
  /** Name of the bad member, as text; `undefined` if the problem is not in a single member. */
  readonly member: string | undefined;
  /** The problem, without the member's name. */
  readonly problem: string;

  /** @internal */
  constructor(member: ByteString | undefined, problem: string, options?: MicrosandboxErrorOptions) {
    const shown = member === undefined ? undefined : displayName(member);
    super(
      "tarInvalid",
      shown === undefined ? `Bad tar: ${problem}` : `Bad tar member "${shown}": ${problem}`,
      options,
    );
    this.member = shown;
    this.problem = problem;
  }
}

/** A file tree or host directory that the disk format cannot hold. Code `"treeInvalid"`. */
export class TreeInvalidError extends ImageError {
  /** Path of the bad node, as text. */
  readonly path: string;
  /** The problem, without the path. */
  readonly problem: string;

  /** @internal */
  constructor(path: ByteString, problem: string, options?: MicrosandboxErrorOptions) {
    const shown = displayName(path);
    super("treeInvalid", `Cannot store "${shown}": ${problem}`, options);
    this.path = shown;
    this.problem = problem;
  }
}
