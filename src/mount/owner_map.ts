/**
 * Owners of a mount's files as the guest sees them: one user of the host is one user of the guest, and all others are
 * {@linkcode OVERFLOW_ID}.
 *
 * @module
 */
import { FileSystemError } from "./errno.ts";
import type { AttributeChanges, ProviderAttributes } from "./provider.ts";

/** What a guest sees as the owner of files that are neither's. */
export const OVERFLOW_ID = 65534;

/** A user and a group. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Translates owners both ways. */
export class OwnerMap {
  readonly #host: Owner;
  readonly #guest: Owner;

  /** Files of `host` are those of `guest` in the guest, and the other way round. */
  constructor(host: Owner, guest: Owner) {
    this.#host = host;
    this.#guest = guest;
  }

  toGuest(attributes: ProviderAttributes): ProviderAttributes {
    const uid = attributes.uid === this.#host.uid ? this.#guest.uid : OVERFLOW_ID;
    const gid = attributes.gid === this.#host.gid ? this.#guest.gid : OVERFLOW_ID;
    return { ...attributes, uid, gid };
  }

  /** @throws {FileSystemError} EPERM if a file is to belong to a user who has none on the host. */
  toHost(changes: AttributeChanges): AttributeChanges {
    const { uid, gid } = changes;
    if (uid !== undefined && uid !== this.#guest.uid) throw new FileSystemError("EPERM");
    if (gid !== undefined && gid !== this.#guest.gid) throw new FileSystemError("EPERM");
    return {
      ...changes,
      uid: uid === undefined ? undefined : this.#host.uid,
      gid: gid === undefined ? undefined : this.#host.gid,
    };
  }
}
