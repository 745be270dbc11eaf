/**
 * Notices to a guest of changes on the host: which, in which order, and how many at a time.
 *
 * The kernel drops what it knows, and inotify in the guest tells of the change, since a process of the guest repeats it as a system
 * call on the mount (see `MountNotice` of the protocol, and `replays.ts` for how its requests are answered). Only what happens in
 * directories that programs of the guest asked for is repeated: no other can be watched there.
 *
 * @module
 */
import { MountNotice } from "../agent/protocol.ts";
import type { Bytes } from "../base/bytes.ts";
import { concatBytes } from "../base/bytes.ts";
import { Notify, OUT_HEADER_BYTES } from "./fuse/constants.ts";
import { notification } from "./fuse/reply.ts";
import { encodeName } from "./names.ts";
import type { MountNode, NodeTable } from "./node_table.ts";
import { baseName, parentPath } from "./paths.ts";
import type { FileSystemProvider, FileType, ProviderAttributes, ProviderChange } from "./provider.ts";
import type { AbsentNames } from "./validity.ts";

/** Changes that wait to be repeated. Past it all that the kernel knows is dropped, and nothing is repeated for it. */
const WAITING_MAX = 32_768;
/** Room that the largest notices of one change take: five, with two of the longest paths. */
const CHANGE_BYTES_MAX = 2 * 4096 + 2 * 256 + 256;

/** A change that is being repeated, by each of its paths. */
export interface Replay {
  readonly change: ProviderChange;
  readonly role: "appears" | "vanishes" | "moves" | "arrives";
}

/** A batch for the guest, and what it repeats. */
export interface NoticeBatch {
  readonly bytes: Bytes;
  readonly replays: Map<string, Replay>;
  /** What the kernel must forget: done once the guest has finished the batch. */
  readonly forgetting: readonly Forgetting[];
}

/** A file whose content the kernel must forget before something else continues. */
export interface Forgetting {
  readonly node: MountNode;
  readonly forgotten: Promise<void>;
  readonly done: () => void;
}

/** Files beside a database of SQLite, which other processes create and remove. */
const DATABASE_COMPANIONS = ["-journal", "-wal"] as const;

/** See the module. */
export class NoticeQueue {
  readonly #nodes: NodeTable;
  readonly #absent: AbsentNames;
  readonly #provider: FileSystemProvider;
  #waiting: ProviderChange[] = [];
  /** Kinds that wait for a path, since it was made, removed or renamed last. */
  #kinds = new Map<string, Set<string>>();
  /** What is still to be dropped after changes were lost. */
  #sweep: Iterator<readonly Bytes[]> | undefined;
  #lost = 0;
  /** What is in no batch yet. Callers that ask for the same file share one entry. */
  readonly #forgetting = new Map<MountNode, Forgetting>();

  constructor(nodes: NodeTable, absent: AbsentNames, provider: FileSystemProvider) {
    this.#nodes = nodes;
    this.#absent = absent;
    this.#provider = provider;
  }

  /** How often changes were lost: the guest was not told of them, but sees them. */
  get lost(): number {
    return this.#lost;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#sweep === undefined && this.#forgetting.size === 0;
  }

  add(change: ProviderChange): void {
    if (change.kind === "lost" || this.#waiting.length >= WAITING_MAX) return this.#lose();
    const { kind, path, from } = change;
    const known = this.#kinds.get(path);
    if (kind !== "renamed" && known?.has(kind)) return;
    if (kind === "modified" && known?.has("created")) {
      known.add(kind); // repeated together: most files are written when they are made
      return;
    }
    const isStructural = kind !== "modified" && kind !== "attributes";
    if (from !== undefined) this.#kinds.set(from, new Set());
    this.#kinds.set(path, isStructural || known === undefined ? new Set([kind]) : known.add(kind));
    this.#waiting.push(change);
  }

  /** Makes the kernel forget a file's content, and what lies beside it. */
  forget(node: MountNode): Promise<void> {
    const known = this.#forgetting.get(node);
    if (known !== undefined) return known.forgotten;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#forgetting.set(node, { node, forgotten: promise, done: resolve });
    return promise;
  }

  /** No request waits any more for the kernel to forget a file. */
  giveUp(node: MountNode): void {
    this.#forgetting.delete(node);
  }

  /** Queues again what was not done, since another process of the guest continues. */
  again(forgetting: readonly Forgetting[]): void {
    for (const { node, done } of forgetting) void this.forget(node).then(done);
  }

  /** What comes next, within the bound of a batch; nothing if there is nothing to tell. */
  async next(): Promise<NoticeBatch | undefined> {
    const notices: Bytes[] = [];
    const replays = new Map<string, Replay>();
    let size = OUT_HEADER_BYTES;
    const hasRoom = () => size + CHANGE_BYTES_MAX <= MountNotice.bytesMax;
    const add = (more: readonly Bytes[]) => {
      notices.push(...more);
      size += more.reduce((sum, { length }) => sum + length, 0);
    };
    const forgetting: Forgetting[] = [];
    for (const next of this.#forgetting.values()) {
      if (!hasRoom()) break;
      this.#forgetting.delete(next.node);
      forgetting.push(next);
      add(contentOf(next.node));
    }
    while (this.#sweep !== undefined && hasRoom()) add(this.#sweepNext(this.#sweep));
    let taken = 0;
    const waiting = this.#waiting; // another list once changes are lost
    for (const change of waiting) {
      if (!hasRoom() || isInTheWay(replays, change)) break;
      taken++;
      add(await this.#noticesOf(change, replays));
      add(this.#directoryNotices(change));
    }
    for (const { path } of waiting.splice(0, taken)) this.#kinds.delete(path);
    if (notices.length === 0) return undefined;
    const batch = notification(0, 0).bytes;
    return { bytes: withSize(concatBytes([batch, ...notices])), replays, forgetting };
  }

  #lose(): void {
    this.#lost++;
    this.#waiting = [{ kind: "attributes", path: "/" }]; // at least something is told
    this.#kinds.clear();
    this.#sweep = allNotices(this.#nodes, this.#absent);
  }

  #sweepNext(sweep: Iterator<readonly Bytes[]>): readonly Bytes[] {
    const { value, done } = sweep.next();
    if (done !== true) return value;
    this.#sweep = undefined;
    return [];
  }

  /** What the kernel must forget about the directories of a change: their times, and the names in them. */
  #directoryNotices({ kind, path, from }: ProviderChange): readonly Bytes[] {
    if (path === "/" || kind === "modified" || kind === "attributes") return [];
    return [path, from].flatMap((of) => {
      const directory = of === undefined ? undefined : this.#nodes.find(parentPath(of));
      return directory === undefined ? [] : [invalidateInode(directory)];
    });
  }

  async #noticesOf(change: ProviderChange, replays: Map<string, Replay>): Promise<readonly Bytes[]> {
    const { kind, path, from } = change;
    const node = this.#nodes.find(path);
    const forget = node === undefined ? [] : [invalidateInode(node)];
    if (path === "/")
      return kind === "modified" || kind === "attributes" ? [...forget, repeat(kind, path)] : forget;
    const parent = this.#nodes.find(parentPath(path));
    const source = from === undefined ? undefined : this.#nodes.find(parentPath(from));
    const drop = (of: MountNode | undefined, name: string) =>
      of === undefined ? [] : [invalidateEntry(of, baseName(name))];
    if (kind === "renamed" && from !== undefined) {
      if (source?.isWanted !== true) return await this.#noticesOf({ kind: "created", path }, replays);
      if (parent === undefined)
        return await this.#noticesOf({ ...change, kind: "removed", path: from }, replays);
      replays.set(from, { change, role: "moves" }).set(path, { change, role: "arrives" });
      // If it cannot be repeated, what the kernel believes of the new name is wrong.
      const target = change.isDirectory === true ? [] : drop(parent, path);
      return [repeat("renamed", from, path), ...drop(source, from), ...target];
    }
    const isStructural = kind === "created" || kind === "removed";
    if (parent?.isWanted !== true) return isStructural ? drop(parent, path) : forget;
    if (kind === "created") {
      const found = await this.#find(path);
      const isWritten = found?.type === "file" && this.#kinds.get(path)?.has("modified") === true;
      const kinds =
        found === undefined
          ? []
          : isProgram(found)
            ? (["createdProgram", ...(isWritten ? (["modifiedProgram"] as const) : [])] as const)
            : [isWritten ? ("createdWritten" as const) : CREATED[found.type]];
      const repeated = kinds.flatMap((replay) => (replay === undefined ? [] : [repeat(replay, path)]));
      if (repeated.length > 0) replays.set(path, { change, role: "appears" });
      return [...drop(parent, path), ...repeated];
    }
    if (kind === "removed") {
      replays.set(path, { change, role: "vanishes" });
      const isDirectory = change.isDirectory === true;
      return [repeat(isDirectory ? "removedDirectory" : "removedFile", path), ...drop(parent, path)];
    }
    if (kind === "attributes") return [...forget, repeat(kind, path)];
    const found = await this.#find(path);
    return [
      ...forget,
      repeat(found !== undefined && isProgram(found) ? "modifiedProgram" : "modified", path),
    ];
  }

  async #find(path: string): Promise<ProviderAttributes | undefined> {
    try {
      return await this.#provider.attributes(path);
    } catch {
      return undefined; // gone again, which will be told
    }
  }
}

/** Makes the kernel drop all that it knows, a few notices at a time. */
function* allNotices(nodes: NodeTable, absent: AbsentNames): Generator<readonly Bytes[], undefined, void> {
  for (const node of nodes.all()) {
    yield [invalidateInode(node)];
    for (const { parent, name } of [...node.links]) yield [invalidateEntry(parent, name)];
  }
  for (const { parent, name } of absent.all()) yield [invalidateEntry(parent, name)];
  return undefined;
}

/** A file that is open for writing cannot be run: programs are not opened for what is repeated. */
function isProgram({ type, mode }: ProviderAttributes): boolean {
  return type === "file" && (mode & 0o111) !== 0;
}

function contentOf(node: MountNode): readonly Bytes[] {
  const [link] = node.links;
  if (link === undefined) return [invalidateInode(node)];
  const beside = DATABASE_COMPANIONS.map((end) => invalidateEntry(link.parent, link.name + end));
  return [invalidateInode(node), ...beside];
}

const CREATED: Readonly<Partial<Record<FileType, keyof typeof MountNotice>>> = {
  file: "createdFile",
  directory: "createdDirectory",
  symlink: "createdSymlink",
  fifo: "createdFifo",
  socket: "createdSocket",
};

/** A name is in one batch in one role: what is asked about it is answered by that. */
function isInTheWay(replays: ReadonlyMap<string, Replay>, { kind, path, from }: ProviderChange): boolean {
  if (kind === "modified" || kind === "attributes") return false;
  return replays.has(path) || (from !== undefined && replays.has(from));
}

function repeat(kind: keyof typeof MountNotice, ...paths: readonly string[]): Bytes {
  const encoded = paths.map((path) => encodeName(`${path}\0`));
  const size = encoded.reduce((sum, { length }) => sum + length, 1);
  const { bytes } = notification(MountNotice.codeReplay, size);
  let offset = OUT_HEADER_BYTES;
  bytes[offset++] = MountNotice[kind];
  for (const path of encoded) {
    bytes.set(path, offset);
    offset += path.length;
  }
  return bytes;
}

function withSize(bytes: Bytes): Bytes {
  new DataView(bytes.buffer).setUint32(0, bytes.length, true);
  return bytes;
}

function invalidateInode(node: MountNode): Bytes {
  const { bytes, body } = notification(Notify.invalidateInode, 24);
  body.setBigUint64(0, node.id, true);
  body.setBigInt64(16, -1n, true); // all of it
  return bytes;
}

function invalidateEntry(parent: MountNode, name: string): Bytes {
  const encoded = encodeName(`${name}\0`);
  const { bytes, body } = notification(Notify.invalidateEntry, 16 + encoded.length);
  body.setBigUint64(0, parent.id, true);
  body.setUint32(8, encoded.length - 1, true);
  bytes.set(encoded, bytes.length - encoded.length);
  return bytes;
}
