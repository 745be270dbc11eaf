/**
 * Reads EROFS images for tests, written apart from the writer and from the format's description only. It knows all that
 * an uncompressed image may have and refuses the rest.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** One inode as the image has it. */
export interface ErofsInode {
  slot: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  linkCount: number;
  sizeBytes: number;
  deviceNumber: number;
  xattrs: Map<string, Buffer>;
  layout: number;
  /** Where each run of data is: in the file, in the image (`undefined` for a hole), and how long. */
  extents: { offset: number; at: number | undefined; size: number }[];
}

const BLOCK = 4096;
const PREFIXES = [
  "",
  "user.",
  "system.posix_acl_access",
  "system.posix_acl_default",
  "trusted.",
  "",
  "security.",
];

export class ErofsReader {
  readonly #descriptor: number;
  readonly #metaAt: number;
  readonly #xattrAt: number;
  readonly inodeCount: number;
  readonly root: ErofsInode;

  constructor(path: string) {
    this.#descriptor = openSync(path, "r");
    const superblock = this.read(1024, 128);
    assert.equal(superblock.readUInt32LE(0), 0xe0f5e1e2);
    assert.equal(superblock[12], 12, "blocks of 4 KiB");
    assert.equal(superblock.readUInt32LE(80) & ~4, 0, "no feature but chunked files");
    assert.equal(superblock.readUInt32LE(36) * BLOCK, fstatSync(this.#descriptor).size, "size in blocks");
    this.inodeCount = Number(superblock.readBigUInt64LE(16));
    this.#metaAt = superblock.readUInt32LE(40) * BLOCK;
    this.#xattrAt = superblock.readUInt32LE(44) * BLOCK;
    this.root = this.inode(superblock.readUInt16LE(14));
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  read(at: number, size: number): Buffer {
    const bytes = Buffer.alloc(size);
    assert.equal(readSync(this.#descriptor, bytes, 0, size, at), size, "reads lie within the image");
    return bytes;
  }

  inode(slot: number): ErofsInode {
    const at = this.#metaAt + slot * 32;
    const raw = this.read(at, 64);
    assert.equal(raw[0]! & 1, 1, "extended inodes only");
    const layout = raw.readUInt16LE(0) >> 1;
    const xattrCount = raw.readUInt16LE(2);
    const xattrBytes = xattrCount === 0 ? 0 : 12 + (xattrCount - 1) * 4;
    const sizeBytes = Number(raw.readBigUInt64LE(8));
    const location = raw.readUInt32LE(16);
    const mode = raw.readUInt16LE(4);
    const isDevice = [0o020000, 0o060000].includes(mode & 0o170000);
    return {
      slot,
      mode,
      uid: raw.readUInt32LE(24),
      gid: raw.readUInt32LE(28),
      mtimeSeconds: Number(raw.readBigInt64LE(32)),
      mtimeNanoseconds: raw.readUInt32LE(40),
      linkCount: raw.readUInt32LE(44),
      sizeBytes,
      deviceNumber: isDevice ? location : 0,
      xattrs: this.#xattrs(at + 64, xattrBytes),
      layout,
      extents: this.#extents(layout, location, sizeBytes, at + 64 + xattrBytes),
    };
  }

  #extents(layout: number, location: number, sizeBytes: number, behind: number): ErofsInode["extents"] {
    if (layout === 0) return sizeBytes === 0 ? [] : [{ offset: 0, at: location * BLOCK, size: sizeBytes }];
    if (layout === 2) {
      const tail = sizeBytes % BLOCK;
      const body = sizeBytes - tail;
      assert.ok((behind % BLOCK) + tail <= BLOCK, "inline data stays in its block");
      const extents = [{ offset: body, at: behind, size: tail }];
      return body === 0 ? extents : [{ offset: 0, at: location * BLOCK, size: body }, ...extents];
    }
    assert.equal(layout, 4);
    assert.equal(location & ~0x1f, 0, "a map of plain addresses");
    const chunkBytes = BLOCK * 2 ** location;
    const count = Math.ceil(sizeBytes / chunkBytes);
    const map = this.read(behind, count * 4);
    return Array.from({ length: count }, (_, index) => {
      const block = map.readUInt32LE(index * 4);
      const offset = index * chunkBytes;
      const at = block === 0xffffffff ? undefined : block * BLOCK;
      return { offset, at, size: Math.min(chunkBytes, sizeBytes - offset) };
    });
  }

  /** Bytes of a file from `from` on; the whole file without arguments. */
  content(inode: ErofsInode, from = 0, size = inode.sizeBytes - from): Buffer {
    const result = Buffer.alloc(size);
    for (const extent of inode.extents) {
      const start = Math.max(from, extent.offset);
      const end = Math.min(from + size, extent.offset + extent.size);
      if (start >= end || extent.at === undefined) continue;
      this.read(extent.at + start - extent.offset, end - start).copy(result, start - from);
    }
    return result;
  }

  /** A directory's entries, `.` and `..` included, after a check of their order. */
  entries(inode: ErofsInode): { name: string; slot: number; type: number }[] {
    const data = this.content(inode);
    const entries: { name: string; slot: number; type: number }[] = [];
    for (let at = 0; at < data.length; at += BLOCK) {
      const block = data.subarray(at, at + BLOCK);
      const count = block.readUInt16LE(8) / 12;
      for (let index = 0; index < count; index++) {
        const nameAt = block.readUInt16LE(index * 12 + 8);
        const nameEnd = index + 1 < count ? block.readUInt16LE((index + 1) * 12 + 8) : block.length;
        const name = block.subarray(nameAt, nameEnd).toString("latin1").replace(/\0+$/, "");
        const slot = Number(block.readBigUInt64LE(index * 12));
        entries.push({ name, slot, type: block[index * 12 + 10]! });
      }
    }
    for (let index = 1; index < entries.length; index++) {
      assert.ok(entries[index - 1]!.name < entries[index]!.name, "names are in byte order");
    }
    return entries;
  }

  #xattrs(at: number, size: number): Map<string, Buffer> {
    const xattrs = new Map<string, Buffer>();
    if (size === 0) return xattrs;
    const body = this.read(at, size);
    const sharedCount = body[4]!;
    for (let index = 0; index < sharedCount; index++) {
      const sharedAt = this.#xattrAt + body.readUInt32LE(12 + index * 4) * 4;
      const head = this.read(sharedAt, 4);
      addXattr(xattrs, this.read(sharedAt, 4 + head[0]! + head.readUInt16LE(2)));
    }
    for (let offset = 12 + sharedCount * 4; offset < size; ) {
      const length = 4 + body[offset]! + body.readUInt16LE(offset + 2);
      addXattr(xattrs, body.subarray(offset, offset + length));
      offset += Math.ceil(length / 4) * 4;
    }
    return xattrs;
  }
}

function addXattr(xattrs: Map<string, Buffer>, entry: Buffer): void {
  const name = PREFIXES[entry[1]!]! + entry.subarray(4, 4 + entry[0]!).toString("latin1");
  assert.ok(!xattrs.has(name), `"${name}" is there once`);
  xattrs.set(name, entry.subarray(4 + entry[0]!));
}
