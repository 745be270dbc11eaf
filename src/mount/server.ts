/**
 * Serves one mount: takes the requests of a guest's kernel as a byte stream, asks a provider, and gives the replies.
 *
 * The guest is not trusted. What it can make this hold is bounded: nodes, open handles, entries of open directories, requests
 * that wait for a provider, and the bytes of each. It needs no VM: tests mount it on this machine's own kernel.
 *
 * @module
 */
import { MountNotice } from "../agent/protocol.ts";
import { type Bytes, MiB } from "../base/bytes.ts";
import { Errno, errnoOf, FileSystemError } from "./errno.ts";
import {
  FUSE_MAJOR,
  FUSE_MINOR,
  FUSE_MINOR_MIN,
  IN_HEADER_BYTES,
  InitFlag,
  Opcode,
  OUT_HEADER_BYTES,
} from "./fuse/constants.ts";
import { reply, statusReply } from "./fuse/reply.ts";
import { type FuseRequest, RequestAssembler } from "./fuse/request.ts";
import { HandleTable } from "./handle_table.ts";
import { NodeTable } from "./node_table.ts";
import * as attributes from "./operations/attributes.ts";
import type { MountContext, Operation } from "./operations/context.ts";
import * as directories from "./operations/directories.ts";
import * as entries from "./operations/entries.ts";
import * as files from "./operations/files.ts";
import * as locks from "./operations/locks.ts";
import { LockWaits } from "./operations/locks.ts";
import type { OwnerMap } from "./owner_map.ts";
import type { FileSystemProvider } from "./provider.ts";
import { Replays } from "./replays.ts";
import { AbsentNames, ValidityRules } from "./validity.ts";

/** Most bytes of one read or write. */
export const TRANSFER_BYTES_MAX = 1024 * 1024;
/** What comes before the content of the largest request, and room for names. */
const REQUEST_HEAD_BYTES_MAX = 64 * 1024;
const PAGE_BYTES = 4096;
/** Nodes that a kernel may know of: about 100 MB here, and 1 GB there. */
const NODES_MAX = 250_000;
const HANDLES_MAX = 16_384;
/** What entries of all open directories take together, about: 700,000 of them. */
const ENTRY_BYTES_MAX = 128 * MiB;
/** Requests that wait for the provider; the kernel has fewer under way unless many programs wait. */
const PENDING_MAX = 1024;
/** Background requests of the kernel: read-ahead and writing. */
const BACKGROUND_MAX = 64;
/** How long the kernel may believe what it was told. Changes by others are seen after that. */
const VALIDITY_MS = 1000;

/** How a mount is served. */
export interface MountServerOptions {
  /** Refuses every change with EROFS. @default {false} */
  readonly isReadonly?: boolean | undefined;
  /** Owners as the guest sees them. @default as the provider says */
  readonly owners?: OwnerMap | undefined;
  /**
   * How long the kernel may use what it was told, in milliseconds; at least a minute where it is told of changes.
   * @default {1000}
   */
  readonly validityMs?: number | undefined;
  /**
   * Whether the kernel may keep what is written for a while and write it in larger pieces. Then changes by others to a file that
   * it knows are not seen. @default {false}
   */
  readonly writeback?: boolean | undefined;
  /**
   * Whether the guest is told of changes that others make, if the provider tells of them. The guest has to be asked for it as
   * well: see `MountFlag.watch`. @default {false}
   */
  readonly watch?: boolean | undefined;
  /**
   * Whether locks are taken from the provider; else they hold among the programs of the guest. It takes `MountFlag.watch` as well.
   * @default {false}
   */
  readonly locks?: boolean | undefined;
}

const OPERATIONS: Readonly<Record<number, Operation>> = {
  [Opcode.lookup]: entries.lookup,
  [Opcode.readlink]: entries.readlink,
  [Opcode.symlink]: entries.symlink,
  [Opcode.mknod]: entries.mknod,
  [Opcode.mkdir]: entries.mkdir,
  [Opcode.unlink]: entries.unlink,
  [Opcode.rmdir]: entries.rmdir,
  [Opcode.rename]: entries.rename,
  [Opcode.rename2]: entries.rename2,
  [Opcode.link]: entries.link,
  [Opcode.getattr]: attributes.getattr,
  [Opcode.setattr]: attributes.setattr,
  [Opcode.statfs]: attributes.statfs,
  [Opcode.getxattr]: attributes.getxattr,
  [Opcode.listxattr]: attributes.listxattr,
  [Opcode.setxattr]: attributes.setxattr,
  [Opcode.removexattr]: attributes.removexattr,
  [Opcode.open]: files.open,
  [Opcode.create]: files.create,
  [Opcode.read]: files.read,
  [Opcode.write]: files.write,
  [Opcode.flush]: files.flush,
  [Opcode.release]: files.release,
  [Opcode.fsync]: files.fsync,
  [Opcode.fallocate]: files.fallocate,
  [Opcode.lseek]: files.lseek,
  [Opcode.opendir]: directories.opendir,
  [Opcode.readdir]: directories.readdir,
  [Opcode.readdirplus]: directories.readdirplus,
  [Opcode.releasedir]: files.release,
  [Opcode.fsyncdir]: directories.fsyncdir,
  [Opcode.getlk]: locks.getlk,
  [Opcode.setlk]: locks.setlk,
  [Opcode.setlkw]: locks.setlkw,
};

/** Requests that may be given up half way: they change nothing. */
const INTERRUPTIBLE: ReadonlySet<number> = new Set([
  Opcode.lookup,
  Opcode.getattr,
  Opcode.readlink,
  Opcode.read,
  Opcode.statfs,
  Opcode.getxattr,
  Opcode.listxattr,
  Opcode.readdir,
]);

/** What a mount holds for its guest. */
export interface MountUsage {
  readonly nodes: number;
  readonly handles: number;
  /** Requests that wait for the provider. */
  readonly pending: number;
  /** Bytes that these hold, or ask for. */
  readonly pendingBytes: number;
  /** How often changes of others were lost, because there were too many: the guest was not told of them. */
  readonly lostChanges: number;
}

/** See the module. */
export class MountServer {
  readonly #mount: MountContext;
  readonly #send: (bytes: Bytes) => void;
  readonly #settled: () => void;
  readonly #assembler = new RequestAssembler(TRANSFER_BYTES_MAX + REQUEST_HEAD_BYTES_MAX);
  /** Requests that wait for the provider, by their number. */
  readonly #pending = new Map<bigint, FuseRequest>();
  /** Calls of the provider that are under way: also those that were given up, or have the number of another one. */
  #calls = 0;
  /** Bytes that their requests hold, or ask for. */
  #pendingBytes = 0;
  readonly #endWatch: (() => void) | undefined;
  readonly #replays: Replays | undefined;
  #isClosed = false;

  /**
   * @param send takes replies, in any order.
   * @param settled is called when a request that waited for the provider is over, also if its reply was not due any more.
   */
  constructor(
    provider: FileSystemProvider,
    options: MountServerOptions,
    send: (bytes: Bytes) => void,
    settled: () => void = () => {},
  ) {
    const {
      isReadonly = false,
      owners,
      validityMs = VALIDITY_MS,
      writeback = false,
      watch = false,
      locks: hasLocks = false,
    } = options;
    this.#send = send;
    this.#settled = settled;
    this.#mount = {
      provider,
      nodes: new NodeTable(NODES_MAX),
      handles: new HandleTable(HANDLES_MAX, ENTRY_BYTES_MAX),
      owners,
      isReadonly,
      isWriteback: writeback,
      hasLocks,
      lockWaits: new LockWaits(),
      forget: async (node) => await this.#replays?.forget(node),
      validity: { entryMs: validityMs, attributesMs: validityMs },
      validities: new ValidityRules(
        provider,
        validityMs,
        () => this.#endWatch !== undefined && this.#replays?.isTelling === true,
      ),
      absent: new AbsentNames(),
      transferBytesMax: TRANSFER_BYTES_MAX,
    };
    if (!watch && !hasLocks) return;
    const replays = new Replays(this.#mount, (bytes) => this.#reply(bytes));
    this.#replays = replays;
    if (watch) this.#endWatch = provider.watch?.((change) => replays.add(change));
  }

  /** What it holds for the guest. */
  get usage(): MountUsage {
    const { nodes, handles } = this.#mount;
    const [pending, pendingBytes] = [this.#calls, this.#pendingBytes];
    const lostChanges = this.#replays?.lost ?? 0;
    return { nodes: nodes.size, handles: handles.size, pending, pendingBytes, lostChanges };
  }

  /** Takes a part of the stream of requests. @throws {RangeError} if it is no such stream: the mount is of no more use. */
  feed(chunk: Uint8Array): void {
    const steps = this.steps(chunk);
    while (!steps.next().done);
  }

  /**
   * Like {@linkcode feed}, one request at each step: requests of a few bytes ask for replies of a million, so that a caller
   * has to look at what waits between any two.
   */
  *steps(chunk: Uint8Array): Generator<void, void, void> {
    for (const request of this.#assembler.feed(chunk)) {
      this.#handle(request);
      yield;
    }
  }

  /** Closes what the guest had open; the provider is told. Replies that are still due are not sent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endWatch?.();
    this.#mount.lockWaits.close();
    const open = this.#mount.handles.clear();
    // A provider that fails to close one file still has to close the others.
    await Promise.allSettled(
      open.map(async (handle) => handle.kind === "file" && (await handle.file.close())),
    );
    await Promise.allSettled([(async () => await this.#mount.provider.close?.())()]);
  }

  #handle(request: FuseRequest): void {
    if (this.#handleSession(request)) return;
    const operation = this.#replays?.operation(request) ?? OPERATIONS[request.opcode];
    if (operation === undefined) return this.#fail(request, Errno.ENOSYS);
    if (this.#calls >= PENDING_MAX) return this.#fail(request, Errno.ENOMEM);
    try {
      const result = operation(this.#mount, request);
      if (!(result instanceof Promise)) return this.#reply(result);
      this.#wait(request, result);
    } catch (error) {
      this.#fail(request, errnoOf(error));
    }
  }

  #wait(request: FuseRequest, result: Promise<Bytes | undefined>): void {
    const bytes = weightOf(request);
    this.#pending.set(request.unique, request);
    this.#calls++;
    this.#pendingBytes += bytes;
    const isDue = () => {
      this.#calls--;
      this.#pendingBytes -= bytes;
      this.#settled();
      return this.#pending.delete(request.unique); // not if it was given up
    };
    result.then(
      (bytes) => (isDue() ? this.#reply(bytes) : this.#takeBack(request, bytes)),
      (error: unknown) => isDue() && this.#fail(request, errnoOf(error)),
    );
  }

  /** The kernel was never told of the node that was looked up: it counts for nothing. */
  #takeBack(request: FuseRequest, bytes: Bytes | undefined): void {
    if (request.opcode !== Opcode.lookup || bytes === undefined) return;
    const node = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(OUT_HEADER_BYTES, true);
    this.#mount.nodes.forget(node, 1n);
  }

  /** Requests about the mount itself. */
  #handleSession(request: FuseRequest): boolean {
    if (request.opcode === Opcode.init) this.#answerInit(request);
    else if (request.opcode === MountNotice.codeReplay) this.#replays?.ready(request.pid);
    else if (request.opcode === Opcode.destroy) this.#reply(statusReply(request.unique, 0));
    else return this.#handleSilent(request);
    return true;
  }

  /** Requests that have no reply, not even that they cannot be read. */
  #handleSilent(request: FuseRequest): boolean {
    const { nodes } = this.#mount;
    try {
      if (request.opcode === Opcode.forget) nodes.forget(request.node, request.u64(0));
      else if (request.opcode === Opcode.batchForget) forgetAll(nodes, request);
      else if (request.opcode === Opcode.interrupt) this.#interrupt(request.u64(0));
      else return false;
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error;
    }
    return true;
  }

  #answerInit(request: FuseRequest): void {
    try {
      this.#init(request);
    } catch (error) {
      this.#fail(request, errnoOf(error));
    }
  }

  #init(request: FuseRequest): void {
    const major = request.u32(0);
    const minor = request.u32(4);
    if (major < FUSE_MAJOR || (major === FUSE_MAJOR && minor < FUSE_MINOR_MIN))
      return this.#fail(request, Errno.EOPNOTSUPP);
    const { bytes, body } = reply(request.unique, 64);
    body.setUint32(0, FUSE_MAJOR, true);
    body.setUint32(4, FUSE_MINOR, true);
    if (major > FUSE_MAJOR) return this.#reply(bytes); // the kernel asks again, with ours
    const wanted =
      InitFlag.asyncRead |
      InitFlag.atomicTruncate |
      InitFlag.bigWrites |
      InitFlag.autoInvalidateData |
      InitFlag.readdirplus |
      InitFlag.readdirplusAuto |
      InitFlag.asyncDirectIo |
      InitFlag.parallelDirectoryOps |
      InitFlag.maxPages |
      InitFlag.cacheSymlinks |
      InitFlag.abortError |
      InitFlag.dontMask |
      InitFlag.handleKillPrivileges2 |
      (this.#mount.hasLocks ? InitFlag.recordLocks | InitFlag.wholeLocks : 0) |
      (this.#mount.isWriteback ? InitFlag.writebackCache : 0);
    body.setUint32(8, request.u32(8), true); // read-ahead, as the kernel proposes
    body.setUint32(12, (request.u32(12) & wanted) >>> 0, true);
    body.setUint16(16, BACKGROUND_MAX, true);
    body.setUint16(18, Math.trunc((BACKGROUND_MAX * 3) / 4), true);
    body.setUint32(20, TRANSFER_BYTES_MAX, true);
    body.setUint32(24, 1, true); // times in nanoseconds
    body.setUint16(28, TRANSFER_BYTES_MAX / PAGE_BYTES, true);
    this.#reply(bytes);
  }

  #interrupt(unique: bigint): void {
    if (this.#mount.lockWaits.interrupt(unique)) return;
    const opcode = this.#pending.get(unique)?.opcode;
    if (opcode === undefined || !INTERRUPTIBLE.has(opcode)) return;
    this.#pending.delete(unique);
    this.#reply(statusReply(unique, Errno.EINTR));
  }

  #reply(bytes: Bytes | undefined): void {
    if (bytes !== undefined && !this.#isClosed) this.#send(bytes);
  }

  #fail(request: FuseRequest, errno: number): void {
    this.#reply(statusReply(request.unique, errno));
  }
}

/** What a request holds while it waits: itself, and the reply that it has room for. */
function weightOf(request: FuseRequest): number {
  const room = ROOM_OFFSETS.get(request.opcode);
  const reply = room === undefined ? 0 : Math.min(request.u32(room), TRANSFER_BYTES_MAX);
  return IN_HEADER_BYTES + request.body.length + reply;
}

/** Where a request says how much room there is for its reply. */
const ROOM_OFFSETS: ReadonlyMap<number, number> = new Map([
  [Opcode.read, 16],
  [Opcode.readdir, 16],
  [Opcode.readdirplus, 16],
  [Opcode.getxattr, 0],
  [Opcode.listxattr, 0],
]);

function forgetAll(nodes: NodeTable, request: FuseRequest): void {
  const count = request.u32(0);
  for (let index = 0; index < count; index++)
    nodes.forget(request.u64(8 + 16 * index), request.u64(16 + 16 * index));
}
