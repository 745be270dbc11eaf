/** The position of one path relative to another. @module */
import { sep } from "node:path";

/** Whether `path` is `directory` or below it; both are absolute, and without links. */
export function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}
