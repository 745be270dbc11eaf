/**
 * Answers the requests of the guest's process that repeats changes of the host (see `notices.ts`). Each is answered as if it were
 * done just now, with what is true on the host, and nothing is done. A guest may claim to be that process: it gains nothing.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { waitFor } from "../base/wait.ts";
import { FileSystemError } from "./errno.ts";
import { ENTRY_OUT_BYTES, Opcode, OpenOutFlag } from "./fuse/constants.ts";
import { attributesReply, reply, statusReply, writeEntry } from "./fuse/reply.ts";
import type { FuseRequest } from "./fuse/request.ts";
import { settled, then } from "./maybe_promise.ts";
import { checkedName } from "./names.ts";
import type { MountNode } from "./node_table.ts";
import { type Forgetting, NoticeQueue, type Replay } from "./notices.ts";
import {
  enter,
  entryOf,
  entryReply,
  identityOf,
  type MountContext,
  nodeOf,
  type Operation,
  seen,
} from "./operations/context.ts";
import { lookUp } from "./operations/entries.ts";
import type { FileType, MaybePromise, ProviderAttributes, ProviderChange, ProviderFile } from "./provider.ts";

/** How long a guest may take to forget a file: it has little to repeat before. */
const FORGET_MS = 10_000;
/** How long the guest may work on a batch before it is taken to be behind. */
const BEHIND_MS = 1000;
/** Validity of what the kernel must not remember: it asks again. */
const NOW = { entryMs: 0, attributesMs: 0 } as const;

/** See the module. */
export class Replays {
  readonly #mount: MountContext;
  readonly #queue: NoticeQueue;
  readonly #send: (bytes: Bytes) => void;
  /** The guest's process; `undefined` until it has reported. */
  #pid: number | undefined;
  #isIdle = false;
  /** When the last batch was sent, by `performance.now()`. */
  #sentAt = 0;
  /** A batch is being made. */
  #isAtWork = false;
  /** The changes of the guest's current batch. */
  #underWay = new Map<string, Replay>();
  /** What the kernel must forget by that batch. */
  #forgetting: readonly Forgetting[] = [];
  #fakes = 0;

  /** @param send takes a batch of notices. */
  constructor(mount: MountContext, send: (bytes: Bytes) => void) {
    this.#mount = mount;
    this.#queue = new NoticeQueue(mount.nodes, mount.absent, mount.provider);
    this.#send = send;
  }

  /** How often changes were lost. */
  get lost(): number {
    return this.#queue.lost;
  }

  /** Whether the guest takes what it is told: its process is there, and is not behind. */
  get isTelling(): boolean {
    if (this.#pid === undefined) return false;
    return this.#isIdle || performance.now() - this.#sentAt < BEHIND_MS;
  }

  /** Something was changed on the host. */
  add(change: ProviderChange): void {
    this.#queue.add(change);
    // Changes that come together go together.
    queueMicrotask(() => void this.#go());
  }

  /**
   * Makes the guest's kernel forget what it holds of a file, so that it asks for what others have written. Resolves once it has.
   *
   * @throws {TimeoutError} if the guest does not say so.
   */
  async forget(node: MountNode): Promise<void> {
    const done = this.#queue.forget(node);
    void this.#go();
    try {
      await waitFor(done, { action: "waiting for the guest to forget a file", timeoutMs: FORGET_MS });
    } catch (error) {
      this.#queue.giveUp(node); // or a guest that never answers would have files kept here for good
      throw error;
    }
  }

  /** The guest's process waits for a batch. */
  ready(pid: number): void {
    if (this.#pid === undefined || this.#pid === pid) for (const { done } of this.#forgetting) done();
    else this.#startAgain();
    this.#forgetting = [];
    this.#pid = pid;
    this.#underWay.clear();
    this.#isIdle = true;
    void this.#go();
  }

  /** Another process continues, which does not know what the one before was told. */
  #startAgain(): void {
    this.#queue.again(this.#forgetting);
    this.#queue.add({ kind: "lost", path: "/" });
  }

  /** The answer to a request of that process; `undefined` if the request is answered like any other. */
  operation({ pid, opcode }: FuseRequest): Operation | undefined {
    return pid === this.#pid && pid !== 0 ? this.#operations[opcode] : undefined;
  }

  /** One batch at a time, however often the guest says that it waits for one. */
  async #go(): Promise<void> {
    if (this.#isAtWork) return;
    this.#isAtWork = true;
    while (this.#isIdle && !this.#queue.isEmpty) {
      const batch = await this.#queue.next();
      if (batch === undefined) continue;
      this.#isIdle = false;
      this.#underWay = batch.replays;
      this.#forgetting = batch.forgetting;
      this.#sentAt = performance.now();
      this.#send(batch.bytes);
    }
    this.#isAtWork = false;
  }

  /** Takes the expected change out at a path. @throws {FileSystemError} EPERM if another one is expected. */
  #expect(path: string, role: Replay["role"]): ProviderChange {
    const replay = this.#underWay.get(path);
    if (replay?.role !== role) throw new FileSystemError("EPERM");
    this.#underWay.delete(path);
    return replay.change;
  }

  readonly #lookup: Operation = (mount, request) => {
    const { parent, name, path } = entryOf(mount, request, 0);
    const replay = this.#underWay.get(path);
    if (replay === undefined) return lookUp(mount, request, false);
    const { change, role } = replay;
    if (role === "appears") return missing(request);
    if (role === "vanishes") return this.#old(request, parent, name, change);
    const moved = (attributes: ProviderAttributes) => {
      if (role === "moves")
        return entryReply(mount, request, parent, name, attributes, mount.validity, false);
      const replaced = mount.nodes.child(parent, name);
      const isOther = replaced !== undefined && replaced.identity !== identityOf(attributes);
      return isOther ? this.#old(request, parent, name, change) : missing(request);
    };
    const gone = () => (role === "moves" ? this.#old(request, parent, name, change) : missing(request));
    return settled(() => mount.provider.attributes(change.path), moved, gone);
  };

  /** An entry that has gone on the host: as it was known, so that the kernel takes it away. */
  #old(request: FuseRequest, parent: MountNode, name: string, change: ProviderChange): MaybePromise<Bytes> {
    const { nodes, handles } = this.#mount;
    const known = nodes.child(parent, name)?.identity;
    const type = known?.slice(known.lastIndexOf(":") + 1) ?? (change.isDirectory ? "directory" : "file");
    const node = nodes.enter(parent, name, known ?? `gone:${this.#fakes++}:${type}`, false);
    // What is open, or mapped, must not become shorter.
    const attributes = handles.fileOf(node.id)?.attributes() ?? nothing(type as FileType);
    return then(attributes, (found) => {
      const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES);
      writeEntry(body, 0, node.id, seen(this.#mount, found), NOW);
      return bytes;
    });
  }

  /** Makers of an entry that exists already. */
  #maker(offset: number, isIt: (type: FileType) => boolean): Operation {
    return (mount, request) => {
      const { parent, name, path } = entryOf(mount, request, offset);
      this.#expect(path, "appears");
      return then(mount.provider.attributes(path), (attributes) => {
        if (!isIt(attributes.type)) throw new FileSystemError("ENOENT"); // it has become something else
        return entryReply(mount, request, parent, name, attributes, mount.validity, false);
      });
    };
  }

  readonly #create: Operation = (mount, request) => {
    const { parent, name, path } = entryOf(mount, request, 16);
    this.#expect(path, "appears");
    mount.handles.reserve();
    return then(mount.provider.attributes(path), (attributes) => {
      if (attributes.type !== "file") throw new FileSystemError("ENOENT");
      const visible = seen(mount, attributes);
      const node = enter(mount, parent, name, attributes, false);
      const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES + 16);
      writeEntry(body, 0, node.id, visible, mount.validity);
      body.setBigUint64(ENTRY_OUT_BYTES, this.#handle(node), true);
      body.setUint32(ENTRY_OUT_BYTES + 8, OpenOutFlag.noFlush, true);
      return bytes;
    });
  };

  readonly #open: Operation = (mount, request) => {
    mount.handles.reserve();
    const { bytes, body } = reply(request.unique, 16);
    body.setBigUint64(0, this.#handle(nodeOf(mount, request)), true);
    body.setUint32(8, OpenOutFlag.noFlush, true);
    return bytes;
  };

  /** A file that is open in name only. */
  #handle(node: MountNode): bigint {
    const { handles, nodes, provider } = this.#mount;
    const file: ProviderFile = {
      read: () => {
        throw new FileSystemError("EPERM");
      },
      attributes: () => provider.attributes(nodes.path(node)),
      close: () => {},
    };
    return handles.add({ kind: "file", node: node.id, file, isAppending: false });
  }

  readonly #setattr: Operation = (mount, request) => {
    const node = nodeOf(mount, request);
    return then(mount.provider.attributes(mount.nodes.path(node)), (found) =>
      attributesReply(request.unique, node.id, seen(mount, found), mount.validity),
    );
  };

  readonly #remove: Operation = (mount, request) => {
    const { parent, name, path } = entryOf(mount, request, 0);
    this.#expect(path, "vanishes");
    mount.nodes.removed(parent, name);
    return statusReply(request.unique, 0);
  };

  #renamer(namesOffset: number): Operation {
    return (mount, request) => {
      const { nodes } = mount;
      const from = entryOf(mount, request, namesOffset);
      const to = nodes.get(request.u64(0));
      const name = checkedName(request.text(from.end).bytes);
      const { path } = this.#expect(from.path, "moves");
      if (path !== nodes.entryPath(to, name)) throw new FileSystemError("EPERM");
      this.#expect(path, "arrives");
      nodes.renamed(from.parent, from.name, to, name, false);
      return statusReply(request.unique, 0);
    };
  }

  readonly #operations: Readonly<Record<number, Operation>> = {
    [Opcode.lookup]: this.#lookup,
    [Opcode.create]: this.#create,
    [Opcode.mkdir]: this.#maker(8, (type) => type === "directory"),
    [Opcode.symlink]: this.#maker(0, (type) => type === "symlink"),
    [Opcode.mknod]: this.#maker(16, (type) => type === "file" || type === "fifo" || type === "socket"),
    [Opcode.open]: this.#open,
    [Opcode.setattr]: this.#setattr,
    [Opcode.unlink]: this.#remove,
    [Opcode.rmdir]: this.#remove,
    [Opcode.rename]: this.#renamer(8),
    [Opcode.rename2]: this.#renamer(16),
    ...Object.fromEntries(
      [Opcode.link, Opcode.write, Opcode.fallocate, Opcode.setxattr, Opcode.removexattr].map((opcode) => [
        opcode,
        refuse,
      ]),
    ),
  };
}

const refuse: Operation = () => {
  throw new FileSystemError("EPERM");
};

/** The reply that there is no entry, which the kernel must not remember. */
function missing(request: FuseRequest): Bytes {
  const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES);
  writeEntry(body, 0, 0n, undefined, NOW);
  return bytes;
}

/** A file of which nothing is known any more. */
function nothing(type: FileType): ProviderAttributes {
  const times = { accessedNs: 0n, modifiedNs: 0n, changedNs: 0n };
  return { type, mode: 0o700, size: 0, uid: 0, gid: 0, inode: 0n, ...times };
}
