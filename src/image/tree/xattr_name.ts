/** Tells which extended attributes a Linux file system can hold. @module */
import type { ByteString } from "./tree.ts";

const NAMESPACES: readonly string[] = ["user.", "trusted.", "security."];
const WHOLE_NAMES: readonly string[] = ["system.posix_acl_access", "system.posix_acl_default"];

export function isLinuxXattr(name: ByteString): boolean {
  if (name.includes("\0")) return false;
  if (WHOLE_NAMES.includes(name)) return true;
  return NAMESPACES.some((prefix) => name.startsWith(prefix) && name.length > prefix.length);
}
