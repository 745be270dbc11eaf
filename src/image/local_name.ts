/** Tells paths of images from references. @module */
import { statSync } from "node:fs";

/** Names that mean a local archive if such a file exists. */
const ARCHIVE_NAME = /\.(?:tar|tar\.gz|tgz|tar\.zst)$/;

/**
 * Returns whether `spec` is a path rather than a reference: it begins with `/`, `./` or `../`, is `.` or `..`, or is an
 * existing file whose name ends in `.tar`, `.tar.gz`, `.tgz` or `.tar.zst`. A directory needs the `./`; otherwise one
 * that happens to be called `alpine` would change the meaning of `alpine`.
 */
export function isLocalImage(spec: string): boolean {
  if (/^\.{0,2}\//.test(spec) || spec === "." || spec === "..") return true;
  return ARCHIVE_NAME.test(spec) && (statSync(spec, { throwIfNoEntry: false })?.isFile() ?? false);
}
