/**
 * Encodes extended attributes. Attributes that several inodes share are stored once, in a shared area; the others
 * follow their inode.
 *
 * Source: Linux, `Documentation/filesystems/erofs.rst`, "Extended attributes", and `fs/erofs/erofs_fs.h`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../../base/assert.ts";
import { concatBytes, roundUp } from "../../base/bytes.ts";
import { byteString, bytesOf, displayName } from "../tree/byte_string.ts";
import type { ByteString, NodeMetadata } from "../tree/tree.ts";
import { isLinuxXattr } from "../tree/xattr_name.ts";
import { viewOf } from "./format.ts";

const HEADER_BYTES = 12;
const ENTRY_HEADER_BYTES = 4;
const ALIGN_BYTES = 4;
const REFERENCE_BYTES = 4;
const NAME_BYTES_MAX = 255;
const VALUE_BYTES_MAX = 65_535;
/** The inode counts its attributes' bytes in fours, in 16 bits. */
const INLINE_BYTES_MAX = HEADER_BYTES + (0xffff - 1) * ALIGN_BYTES;
const SHARED_PER_INODE_MAX = 255;

/** The prefixes that have a number, which stands for them on disk. */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ["user.", 1],
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["trusted.", 4],
  ["security.", 6],
];

/** An attribute set that cannot be stored; the message tells why. */
export class XattrProblem extends Error {}

/** An attribute in its encoding, as a string so that it can be the key of a map. */
type EncodedEntry = ByteString;

/** The attributes of one inode. */
export interface PlannedXattrs {
  readonly entries: readonly EncodedEntry[];
}

/** Collects the attributes of all inodes, then decides how to store each. */
export class XattrPlanner {
  /** Sets that many inodes share are one object, and encoded once. */
  readonly #planned = new Map<NodeMetadata["xattrs"], PlannedXattrs>();
  readonly #useCounts = new Map<EncodedEntry, number>();
  /** Where each shared attribute is in the shared area, in fours of bytes. */
  readonly #sharedIds = new Map<EncodedEntry, number>();
  #sharedBytes = 0;
  #sealed = false;

  /** @throws {XattrProblem} */
  plan(xattrs: NodeMetadata["xattrs"]): PlannedXattrs {
    assert(!this.#sealed, "attributes are planned before they are placed");
    const planned = this.#planned.get(xattrs) ?? encodeSet(xattrs);
    this.#planned.set(xattrs, planned);
    for (const entry of planned.entries) this.#useCounts.set(entry, (this.#useCounts.get(entry) ?? 0) + 1);
    return planned;
  }

  /** Ends the collection. */
  seal(): void {
    this.#sealed = true;
    for (const [entry, count] of this.#useCounts) {
      if (count < 2) continue;
      this.#sharedIds.set(entry, this.#sharedBytes / ALIGN_BYTES);
      this.#sharedBytes += entry.length;
    }
    this.#useCounts.clear();
    this.#planned.clear();
  }

  get sharedBytes(): number {
    return this.#sharedBytes;
  }

  /** The shared area, entry by entry. */
  *sharedArea(): Iterable<Uint8Array> {
    for (const entry of this.#sharedIds.keys()) yield bytesOf(entry);
  }

  /**
   * Size of what stands behind an inode with these attributes.
   *
   * @throws {XattrProblem}
   */
  sizeOf(planned: PlannedXattrs): number {
    const { shared, inline } = this.#divide(planned);
    const sizeBytes =
      HEADER_BYTES + shared.length * REFERENCE_BYTES + inline.reduce((sum, entry) => sum + entry.length, 0);
    if (sizeBytes > INLINE_BYTES_MAX) {
      throw new XattrProblem(
        `its extended attributes take ${sizeBytes} bytes: the limit is ${INLINE_BYTES_MAX}`,
      );
    }
    return sizeBytes;
  }

  /** What stands behind the inode. */
  encode(planned: PlannedXattrs): Uint8Array {
    const { shared, inline } = this.#divide(planned);
    const head = new Uint8Array(HEADER_BYTES + shared.length * REFERENCE_BYTES);
    const view = viewOf(head);
    view.setUint8(4, shared.length);
    shared.forEach((id, index) => {
      view.setUint32(HEADER_BYTES + index * REFERENCE_BYTES, id, true);
    });
    return concatBytes([head, ...inline.map(bytesOf)]);
  }

  #divide({ entries }: PlannedXattrs): { shared: number[]; inline: EncodedEntry[] } {
    const shared: number[] = [];
    const inline: EncodedEntry[] = [];
    for (const entry of entries) {
      const id = this.#sharedIds.get(entry);
      if (id === undefined || shared.length === SHARED_PER_INODE_MAX) inline.push(entry);
      else shared.push(id);
    }
    return { shared, inline };
  }
}

/** @throws {XattrProblem} */
function encodeSet(xattrs: NodeMetadata["xattrs"]): PlannedXattrs {
  const names = [...xattrs.keys()].sort();
  return { entries: names.map((name) => encodeEntry(name, xattrs.get(name)!)) };
}

function encodeEntry(name: ByteString, value: Uint8Array): EncodedEntry {
  const split = splitName(name);
  if (split === undefined) throw new XattrProblem(`Linux has no extended attribute "${displayName(name)}"`);
  const { index, suffix } = split;
  if (suffix.length > NAME_BYTES_MAX) {
    throw new XattrProblem(
      `an extended attribute's name has ${suffix.length} bytes: the limit is ${NAME_BYTES_MAX}`,
    );
  }
  if (value.length > VALUE_BYTES_MAX) {
    throw new XattrProblem(
      `"${displayName(name)}" has ${value.length} bytes: the limit is ${VALUE_BYTES_MAX}`,
    );
  }
  const bytes = Buffer.alloc(roundUp(ENTRY_HEADER_BYTES + suffix.length + value.length, ALIGN_BYTES));
  bytes[0] = suffix.length;
  bytes[1] = index;
  bytes.writeUInt16LE(value.length, 2);
  bytes.write(suffix, ENTRY_HEADER_BYTES, "latin1");
  bytes.set(value, ENTRY_HEADER_BYTES + suffix.length);
  return byteString(bytes);
}

function splitName(name: ByteString): { index: number; suffix: ByteString } | undefined {
  if (!isLinuxXattr(name)) return undefined;
  for (const [prefix, index] of PREFIXES) {
    if (name.startsWith(prefix)) return { index, suffix: name.slice(prefix.length) };
  }
  return undefined;
}
