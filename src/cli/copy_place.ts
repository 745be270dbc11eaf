/**
 * The operands of `msb cp`: which sandbox and path they mean, and what the copy is called.
 *
 * @module
 */
import { basename, posix, resolve } from "node:path";

/** A path of this machine, a path in a sandbox, or a tar on standard input or output. */
export type CopyPlace =
  | { readonly kind: "host"; readonly path: string }
  | { readonly kind: "sandbox"; readonly sandbox: string; readonly path: string }
  | { readonly kind: "stream" };

/** `NAME:PATH`; a path of this machine that looks like it is written with `./` before it. */
const IN_SANDBOX = /^(?<sandbox>[A-Za-z0-9][A-Za-z0-9._-]*):(?<path>.+)$/s;

export function parseCopyPlace(text: string): CopyPlace {
  if (text === "-") return { kind: "stream" };
  const { sandbox, path } = IN_SANDBOX.exec(text)?.groups ?? {};
  return sandbox === undefined || path === undefined
    ? { kind: "host", path: text }
    : { kind: "sandbox", sandbox, path };
}

/** What is at a path. */
export type Found = "directory" | "other" | "nothing";

/** There is no directory to put a file into. */
export class NoDirectoryError extends Error {}

/**
 * Where a copy goes, as `cp -r` and Docker have it: a file or directory that goes to a directory that is there goes into it
 * under its own name; the content alone of a source that ends with `/.` does.
 *
 * @throws {NoDirectoryError} if the target ends with a slash, is not there, and a file is to go into it.
 */
export function targetOf(
  source: { readonly name: string; readonly isDirectory: boolean; readonly isContent: boolean },
  target: { readonly path: string; readonly found: Found },
): string {
  const { path, found } = target;
  if (found === "nothing" && !source.isDirectory && path.endsWith("/"))
    throw new NoDirectoryError(`there is no directory ${JSON.stringify(path)}`);
  if (found !== "directory" || source.isContent || source.name === "") return path;
  return path.endsWith("/") ? path + source.name : `${path}/${source.name}`;
}

/** The name that a copy of this path has, and whether its content alone is meant. */
export function sourceName(place: Exclude<CopyPlace, { readonly kind: "stream" }>): {
  readonly name: string;
  readonly isContent: boolean;
} {
  const name =
    place.kind === "host" ? basename(resolve(place.path)) : posix.basename(posix.normalize(place.path));
  const isContent = /(?:^|\/)\.$/.test(place.path) && place.path !== ".";
  return { name: name === "." || name === ".." || name === "/" ? "" : name, isContent };
}
