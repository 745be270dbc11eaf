/**
 * Requests about open directories. A directory is read once, when it is read from its beginning; what comes and goes after that
 * is seen at the next reading, as POSIX leaves open.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { Errno, errnoOf } from "../errno.ts";
import { ENTRY_OUT_BYTES, OpenOutFlag, OUT_HEADER_BYTES } from "../fuse/constants.ts";
import { directoryEntryType, reply, statusReply, type Validity, writeEntry } from "../fuse/reply.ts";
import type { FuseRequest } from "../fuse/request.ts";
import type { OpenDirectory } from "../handle_table.ts";
import { encodeName } from "../names.ts";
import type { MountNode } from "../node_table.ts";
import type { MaybePromise, ProviderAttributes, ProviderEntry } from "../provider.ts";
import { enter, type MountContext, nodeOf, type Operation, seen, then } from "./context.ts";

const DIRENT_BYTES = 24;

/** An entry with its attributes, if the provider has them still. */
interface FullEntry {
  readonly entry: ProviderEntry;
  readonly attributes: ProviderAttributes | undefined;
  readonly validity: Validity;
}

export const opendir: Operation = (mount, request) => {
  mount.handles.reserve();
  const path = mount.nodes.knownPath(nodeOf(mount, request));
  const { bytes, body } = reply(request.unique, 16);
  body.setBigUint64(0, mount.handles.add({ kind: "directory", entries: undefined }), true);
  if (path !== undefined && mount.validities.isToldOf(path))
    body.setUint32(8, OpenOutFlag.cacheDirectory | OpenOutFlag.keepCache, true);
  return bytes;
};

/** What the directory holds, `.` and `..` first. */
function entriesOf(
  mount: MountContext,
  path: string,
  directory: OpenDirectory,
  fromStart: boolean,
): MaybePromise<readonly ProviderEntry[]> {
  if (directory.entries !== undefined && !fromStart) return directory.entries;
  return then(mount.provider.list(path), (listed) => {
    const dots = [".", ".."].map((name) => ({ name, type: "directory" as const, inode: 0n }));
    const entries = [...dots, ...listed];
    mount.handles.setEntries(directory, entries);
    return entries;
  });
}

export const readdir: Operation = (mount, request) => {
  const node = nodeOf(mount, request);
  const directory = mount.handles.directory(request.u64(0));
  const offset = request.size(8);
  const room = Math.min(request.u32(16), mount.transferBytesMax);
  return then(entriesOf(mount, mount.nodes.path(node), directory, offset === 0), (entries) => {
    const buffer = new EntryBuffer(request, room, 0);
    for (let index = offset; index < entries.length; index++)
      if (!buffer.add(entries[index] as ProviderEntry, index + 1, node.id)) break;
    return buffer.reply();
  });
};

export const readdirplus: Operation = (mount, request) => {
  const node = nodeOf(mount, request);
  const directory = mount.handles.directory(request.u64(0));
  const offset = request.size(8);
  const room = Math.min(request.u32(16), mount.transferBytesMax);
  return then(entriesOf(mount, mount.nodes.path(node), directory, offset === 0), (entries) => {
    const most = Math.ceil(room / (ENTRY_OUT_BYTES + DIRENT_BYTES));
    const wanted = entries.slice(offset, offset + most);
    return then(allAttributes(mount, node, wanted), (full) =>
      plusReply(mount, request, node, full, offset, room),
    );
  });
};

function allAttributes(
  mount: MountContext,
  node: MountNode,
  entries: readonly ProviderEntry[],
): MaybePromise<readonly FullEntry[]> {
  const all = entries.map((entry): MaybePromise<FullEntry> => {
    const none: FullEntry = { entry, attributes: undefined, validity: mount.validity };
    if (entry.name === "." || entry.name === "..") return none;
    const gone = (error: unknown): FullEntry => {
      const isGone = errnoOf(error) === Errno.ENOENT;
      if (!isGone && errnoOf(error) !== Errno.EACCES) throw error;
      return none;
    };
    const path = mount.nodes.entryPath(node, entry.name);
    const validity = mount.validities.before(path);
    const full = (attributes: ProviderAttributes): FullEntry => ({
      entry,
      attributes,
      validity: validity(attributes),
    });
    try {
      const attributes = mount.provider.attributes(path);
      return attributes instanceof Promise ? attributes.then(full, gone) : full(attributes);
    } catch (error) {
      return gone(error);
    }
  });
  return all.some((entry) => entry instanceof Promise) ? Promise.all(all) : (all as readonly FullEntry[]);
}

function plusReply(
  mount: MountContext,
  request: FuseRequest,
  node: MountNode,
  entries: readonly FullEntry[],
  offset: number,
  room: number,
): Bytes {
  const buffer = new EntryBuffer(request, room, ENTRY_OUT_BYTES);
  for (const [index, { entry, attributes, validity }] of entries.entries()) {
    const place = buffer.place(entry);
    if (place === undefined) break; // before the kernel is told of a node that does not fit
    const visible = attributes === undefined ? undefined : seen(mount, attributes);
    // 0: the kernel takes the name alone, and looks it up when it is wanted.
    const id = attributes === undefined ? 0n : enter(mount, node, entry.name, attributes).id;
    writeEntry(buffer.view, place, id, visible, validity);
    buffer.add(entry, offset + index + 1, node.id);
  }
  return buffer.reply();
}

/** Entries in the kernel's format, as many as fit. */
class EntryBuffer {
  readonly #bytes: Bytes;
  readonly view: DataView;
  readonly #prefixBytes: number;
  #used = 0;

  /** Each entry has `prefixBytes` before it, which the caller writes. */
  constructor(request: FuseRequest, room: number, prefixBytes: number) {
    const { bytes, body } = reply(request.unique, room);
    this.#bytes = bytes;
    this.view = body;
    this.#prefixBytes = prefixBytes;
  }

  /** Where the prefix of the next entry goes; `undefined` if it does not fit any more. */
  place(entry: ProviderEntry): number | undefined {
    return this.#used + this.#size(encodeName(entry.name).length) <= this.view.byteLength
      ? this.#used
      : undefined;
  }

  /** Adds an entry; false if it does not fit. `next` is where reading goes on behind it. */
  add(entry: ProviderEntry, next: number, node: bigint): boolean {
    const name = encodeName(entry.name);
    const size = this.#size(name.length);
    if (this.#used + size > this.view.byteLength) return false;
    const offset = this.#used + this.#prefixBytes;
    this.view.setBigUint64(offset, BigInt.asUintN(64, entry.inode === 0n ? node : entry.inode), true);
    this.view.setBigUint64(offset + 8, BigInt(next), true);
    this.view.setUint32(offset + 16, name.length, true);
    this.view.setUint32(offset + 20, directoryEntryType(entry.type), true);
    this.#bytes.set(name, OUT_HEADER_BYTES + offset + DIRENT_BYTES);
    this.#used += size;
    return true;
  }

  reply(): Bytes {
    const bytes = this.#bytes.slice(0, OUT_HEADER_BYTES + this.#used);
    new DataView(bytes.buffer).setUint32(0, bytes.length, true);
    return bytes;
  }

  #size(nameBytes: number): number {
    return this.#prefixBytes + Math.ceil((DIRENT_BYTES + nameBytes) / 8) * 8;
  }
}

export const fsyncdir: Operation = (mount, request) => {
  mount.handles.directory(request.u64(0));
  return statusReply(request.unique, 0);
};
