/**
 * Requests for locks. Waiting for one holds nothing up: it is asked for again, at once if a lock of this mount is given up, and
 * now and then, since others do not tell.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { Errno, errnoOf, FileSystemError } from "../errno.ts";
import { reply, statusReply } from "../fuse/reply.ts";
import type { FuseRequest } from "../fuse/request.ts";
import type { OpenFile } from "../handle_table.ts";
import { settled, then } from "../maybe_promise.ts";
import type { MountNode } from "../node_table.ts";
import type { MaybePromise, ProviderLock } from "../provider.ts";
import { type MountContext, nodeOf, type Operation } from "./context.ts";

/** Programs that wait for a lock, of one mount. */
const WAITS_MAX = 256;
const RETRY_MS_MIN = 2;
const RETRY_MS_MAX = 50;
/** `fuse_lk_in.lk_flags` */
const FLOCK = 1;
const TYPES = ["shared", "exclusive", "none"] as const;
const END_MAX = (1n << 63n) - 1n;

/** Who waits for a lock. */
export class LockWaits {
  readonly #waits = new Map<bigint, { retry: () => void; fail: (error: Error) => void }>();

  /** Asks again and again until `attempt` gives true. @throws {FileSystemError} EINTR if it is given up. */
  async wait(unique: bigint, attempt: () => Promise<boolean>): Promise<void> {
    if (this.#waits.size >= WAITS_MAX) throw new FileSystemError("EAGAIN");
    let retryMs = RETRY_MS_MIN;
    try {
      for (;;) {
        const next = Promise.withResolvers<void>();
        const timer = setTimeout(next.resolve, retryMs);
        this.#waits.set(unique, { retry: next.resolve, fail: next.reject });
        try {
          await next.promise;
        } finally {
          clearTimeout(timer);
        }
        if (await attempt()) return;
        retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
      }
    } finally {
      this.#waits.delete(unique);
    }
  }

  /** A lock was given up. */
  retry(): void {
    for (const { retry } of this.#waits.values()) retry();
  }

  /** The program does not wait any more. Tells whether it did. */
  interrupt(unique: bigint): boolean {
    const wait = this.#waits.get(unique);
    wait?.fail(new FileSystemError("EINTR"));
    return wait !== undefined;
  }

  close(): void {
    for (const { fail } of this.#waits.values()) fail(new FileSystemError("EIO"));
  }
}

function lockOf(request: FuseRequest): ProviderLock {
  const type = TYPES[request.u32(32)];
  const [start, end] = [request.u64(16), request.u64(24)];
  if (type === undefined || start > END_MAX || end < start) throw new FileSystemError("EINVAL");
  const kind = (request.u32(40) & FLOCK) !== 0 ? "whole" : "record";
  return { owner: request.u64(8), kind, type, start, end: end > END_MAX ? END_MAX : end };
}

type Lockable = Required<Pick<OpenFile["file"], "lock" | "testLock">>;

function lockable(mount: MountContext, request: FuseRequest): Lockable {
  const { file } = mount.handles.file(request.u64(0));
  if (file.lock === undefined || file.testLock === undefined) throw new FileSystemError("ENOSYS");
  return file as Required<typeof file>;
}

export const getlk: Operation = (mount, request) => {
  const lock = lockOf(request);
  return then(lockable(mount, request).testLock(lock), (found) => {
    const { bytes, body } = reply(request.unique, 24);
    body.setBigUint64(0, found?.start ?? lock.start, true);
    body.setBigUint64(8, found?.end ?? lock.end, true);
    body.setUint32(16, TYPES.indexOf(found?.type ?? "none"), true);
    return bytes;
  });
};

export const setlk: Operation = (mount, request) => {
  const lock = lockOf(request);
  const node = nodeOf(mount, request);
  const file = lockable(mount, request);
  return then(file.lock(lock), () => taken(mount, request, node, file, lock));
};

/**
 * The earlier holder of the lock may have written: the guest's kernel must forget the file before its program continues. Times
 * are too coarse for the kernel to find out.
 */
function taken(
  mount: MountContext,
  request: FuseRequest,
  node: MountNode,
  file: Lockable,
  lock: ProviderLock,
): MaybePromise<Bytes> {
  if (lock.type !== "exclusive") mount.lockWaits.retry(); // one was given up, or became less
  if (lock.type === "none") return statusReply(request.unique, 0);
  return mount.forget(node).then(
    () => statusReply(request.unique, 0),
    async (error: unknown) => {
      await file.lock({ ...lock, type: "none" }); // a program that is told of a failure gives up nothing
      throw error;
    },
  );
}

export const setlkw: Operation = (mount, request) => {
  const lock = lockOf(request);
  const node = nodeOf(mount, request);
  const file = lockable(mount, request);
  /** Whether it was taken; false if another holder has one. */
  const attempt = () =>
    settled(
      () => file.lock(lock),
      () => true,
      (error) => {
        if (errnoOf(error) !== Errno.EAGAIN) throw error;
        return false;
      },
    );
  return then(attempt(), (isTaken) => {
    if (isTaken) return taken(mount, request, node, file, lock);
    const waited = mount.lockWaits.wait(request.unique, async () => await attempt());
    return waited.then(() => taken(mount, request, node, file, lock));
  });
};

/** A program has closed a descriptor: it holds no lock of that kind on the file any more. */
export function giveUp(
  mount: MountContext,
  { file }: OpenFile,
  kind: ProviderLock["kind"],
  owner: bigint,
): MaybePromise<void> {
  if (!mount.hasLocks || file.lock === undefined) return;
  const none = { owner, kind, type: "none", start: 0n, end: END_MAX } as const;
  return then(file.lock(none), () => mount.lockWaits.retry());
}
