/** What can be wrong with an image's input. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import { type ByteString, displayName } from "./tree/byte_string.ts";

/**
 * What keeps an image from being had, of whichever kind: for those who catch all of it. That there is none, or that it is
 * in use, is none of it: see `ImageNotFoundError` and `ImageInUseError`.
 */
export abstract class ImageError extends MicrosandboxError {}

/**
 * A tar stream that cannot be turned into a file tree: damaged, cut short, compressed wrongly, or with a member that
 * no Linux directory could hold. Code `"tarInvalid"`.
 */
export class TarInvalidError extends ImageError {
  /** Name of the member at fault, as text; `undefined` where the fault is in no single member. */
  readonly member: string | undefined;
  /** What is wrong, without the member's name. */
  readonly problem: string;

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

/** A file tree, or a host directory, that the disk format cannot hold. Code `"treeInvalid"`. */
export class TreeInvalidError extends ImageError {
  /** Path of the node at fault, as text. */
  readonly path: string;
  /** What is wrong, without the path. */
  readonly problem: string;

  constructor(path: ByteString, problem: string, options?: MicrosandboxErrorOptions) {
    const shown = displayName(path);
    super("treeInvalid", `Cannot store "${shown}": ${problem}`, options);
    this.path = shown;
    this.problem = problem;
  }
}
