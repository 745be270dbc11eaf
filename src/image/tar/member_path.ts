/** Converts names of tar members to paths of a tree. @module */
import { TarInvalidError } from "../errors.ts";
import { type ByteString, NAME_BYTES_MAX, PATH_BYTES_MAX } from "../tree/tree.ts";

/** How to handle names that start with a slash: as an error, or as if the slash were missing. */
export type AbsoluteNames = "refuse" | "strip";

/**
 * `"./usr//bin/"` becomes `"usr/bin"`; the root becomes `""`.
 *
 * @param member The member that errors name; `name` is its own name or its hard link's target.
 * @throws {TarInvalidError} `name` is empty, has a NUL or `..`, is absolute and refused, or too long for Linux.
 */
export function memberPath(
  member: ByteString,
  name: ByteString,
  what: string,
  absolute: AbsoluteNames,
): ByteString {
  const refuse = (problem: string): never => {
    throw new TarInvalidError(member, `${what} ${problem}`);
  };
  if (name === "") refuse("is empty");
  if (name.includes("\0")) refuse("has a NUL");
  if (name.startsWith("/") && absolute === "refuse") refuse("is absolute");
  const components = name.split("/").filter((component) => component !== "" && component !== ".");
  for (const component of components) {
    if (component === "..") refuse('has ".."');
    if (component.length > NAME_BYTES_MAX) {
      refuse(`has a component of ${component.length} bytes: the limit is ${NAME_BYTES_MAX}`);
    }
  }
  const path = components.join("/");
  if (path.length > PATH_BYTES_MAX) refuse(`has ${path.length} bytes: the limit is ${PATH_BYTES_MAX}`);
  return path;
}
