/**
 * Set-id bits, which a change of a file's content or owner takes away. The kernel leaves that to this side: else it would ask
 * for a file's capabilities before each write.
 *
 * @module
 */
import type { AttributeChanges, MaybePromise, ProviderAttributes, ProviderFile } from "../provider.ts";
import { then } from "./context.ts";

const SET_UID = 0o4000;
const SET_GID = 0o2000;
/** Without it, the other bit asked for mandatory locking once, and stays with a new owner. */
const GROUP_EXECUTE = 0o010;

/** Takes the bits from an open file, before its content changes. */
export function dropSetId(file: ProviderFile): MaybePromise<void> {
  return then(file.attributes(), ({ mode }) =>
    (mode & (SET_UID | SET_GID)) === 0
      ? undefined
      : file.setAttributes?.({ mode: mode & ~(SET_UID | SET_GID) }),
  );
}

/** `changes` of a file's size or owner, and with them the bits that `attributes` has to lose. */
export function losingSetId(changes: AttributeChanges, attributes: ProviderAttributes): AttributeChanges {
  if (attributes.type !== "file") return changes;
  const keepsGroup = changes.size === undefined && (attributes.mode & GROUP_EXECUTE) === 0;
  const mode = attributes.mode & ~(SET_UID | (keepsGroup ? 0 : SET_GID));
  return changes.mode !== undefined || mode === attributes.mode ? changes : { ...changes, mode };
}
