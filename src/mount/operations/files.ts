/**
 * Requests about open files.
 *
 * @module
 */
import { Errno, errnoOf, FileSystemError } from "../errno.ts";
import {
  ENTRY_OUT_BYTES,
  FSYNC_DATA_ONLY,
  OPEN_DROP_SET_ID,
  OpenFlag,
  OpenOutFlag,
  RELEASE_FLOCK_UNLOCK,
  SEEK_DATA,
  SEEK_HOLE,
  WRITE_DROP_SET_ID,
} from "../fuse/constants.ts";
import { dataReply, reply, statusReply, writeEntry } from "../fuse/reply.ts";
import { settled } from "../maybe_promise.ts";
import type { MountNode } from "../node_table.ts";
import type { MaybePromise, ProviderAttributes, ProviderFile, ProviderOpenOptions } from "../provider.ts";
import {
  checkWritable,
  enter,
  entryOf,
  type MountContext,
  nodeOf,
  type Operation,
  seen,
  then,
} from "./context.ts";
import { giveUp } from "./locks.ts";
import { dropSetId } from "./set_id.ts";

/** How open(2) flags say a file is to be opened. */
function optionsOf(mount: MountContext, flags: number, mode: number): ProviderOpenOptions {
  const access = flags & OpenFlag.accessMask;
  return {
    // The kernel reads a page before it changes a part of it, also of a file that a program opened only for writing.
    read: true,
    write: access !== 0 || (flags & OpenFlag.truncate) !== 0,
    // A kernel that writes later says where, and also writes what others wrote by this file.
    append: (flags & OpenFlag.append) !== 0 && !mount.isWriteback,
    truncate: (flags & OpenFlag.truncate) !== 0,
    create: (flags & OpenFlag.create) !== 0,
    exclusive: (flags & OpenFlag.exclusive) !== 0,
    mode,
  };
}

function addFile(mount: MountContext, node: MountNode, file: ProviderFile, isAppending: boolean): bigint {
  return mount.handles.add({ kind: "file", node: node.id, file, isAppending });
}

/** Goes on with a file that was opened. It is closed if that fails: the kernel is told of no handle then. */
function keeping<R>(file: ProviderFile, next: () => MaybePromise<R>): MaybePromise<R> {
  const fail = (error: unknown): MaybePromise<never> =>
    then(file.close(), () => {
      throw error;
    });
  try {
    const result = next();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (error) {
    return fail(error);
  }
}

/** Another process removed what the kernel knows. This error makes the kernel look the name up again. */
function stale(error: unknown): never {
  throw errnoOf(error) === Errno.ENOENT ? new FileSystemError("ESTALE") : error;
}

export const open: Operation = (mount, request) => {
  const options = optionsOf(mount, request.u32(0), 0);
  if (options.write) checkWritable(mount);
  const node = nodeOf(mount, request);
  const path = mount.nodes.path(node);
  mount.handles.reserve();
  const opened = settled(
    () => mount.provider.open(path, { ...options, create: false, exclusive: false }),
    (file) => file,
    stale,
  );
  const told = (file: ProviderFile) => {
    const { bytes, body } = reply(request.unique, 16);
    body.setBigUint64(0, addFile(mount, node, file, options.append), true);
    body.setUint32(8, OpenOutFlag.keepCache, true); // dropped by the kernel when time or size have changed
    return bytes;
  };
  const drops = (request.u32(4) & OPEN_DROP_SET_ID) !== 0;
  return then(opened, (file) =>
    keeping(file, () => then(drops ? dropSetId(file) : undefined, () => told(file))),
  );
};

export const create: Operation = (mount, request) => {
  checkWritable(mount);
  const mode = request.u32(4) & 0o777 & ~request.u32(8);
  const options = { ...optionsOf(mount, request.u32(0), mode), create: true, write: true };
  const { parent, name, path } = entryOf(mount, request, 16);
  mount.handles.reserve();
  const validity = mount.validities.before(path);
  const opened = (file: ProviderFile, attributes: ProviderAttributes) => {
    const visible = seen(mount, attributes);
    const node = enter(mount, parent, name, attributes);
    const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES + 16);
    writeEntry(body, 0, node.id, visible, validity(attributes));
    body.setBigUint64(ENTRY_OUT_BYTES, addFile(mount, node, file, options.append), true);
    body.setUint32(ENTRY_OUT_BYTES + 8, OpenOutFlag.keepCache, true);
    return bytes;
  };
  const drops = (request.u32(12) & OPEN_DROP_SET_ID) !== 0;
  return then(mount.provider.open(path, options), (file) =>
    keeping(file, () =>
      then(drops ? dropSetId(file) : undefined, () =>
        then(file.attributes(), (attributes) => opened(file, attributes)),
      ),
    ),
  );
};

export const read: Operation = (mount, request) => {
  const { file } = mount.handles.file(request.u64(0));
  const length = Math.min(request.u32(16), mount.transferBytesMax);
  return then(file.read(request.size(8), length), (data) => {
    if (data.length > length) throw new FileSystemError("EIO"); // the provider's mistake
    return dataReply(request.unique, data);
  });
};

export const write: Operation = (mount, request) => {
  checkWritable(mount);
  const { file } = mount.handles.file(request.u64(0));
  const size = request.u32(16);
  if (file.write === undefined) throw new FileSystemError("EBADF");
  const written = () => {
    const { bytes, body } = reply(request.unique, 8);
    body.setUint32(0, size, true);
    return bytes;
  };
  const drops = (request.u32(20) & WRITE_DROP_SET_ID) !== 0;
  return then(drops ? dropSetId(file) : undefined, () =>
    then(file.write?.(request.size(8), request.bytes(40, size)), written),
  );
};

export const release: Operation = (mount, request) => {
  const handle = mount.handles.remove(request.u64(0));
  if (handle?.kind !== "file") return statusReply(request.unique, 0);
  const isUnlocked = (request.u32(12) & RELEASE_FLOCK_UNLOCK) !== 0;
  const unlocked = isUnlocked ? giveUp(mount, handle, "whole", request.u64(16)) : undefined;
  return then(unlocked, () => then(handle.file.close(), () => statusReply(request.unique, 0)));
};

/**
 * A program closed one of its descriptors. What was written is with the provider already: unless it may have held locks, the
 * kernel need not ask again.
 */
export const flush: Operation = (mount, request) => {
  if (!mount.hasLocks) throw new FileSystemError("ENOSYS");
  const handle = mount.handles.file(request.u64(0));
  return then(giveUp(mount, handle, "record", request.u64(16)), () => statusReply(request.unique, 0));
};

export const fsync: Operation = (mount, request) => {
  const { file } = mount.handles.file(request.u64(0));
  const isDataOnly = (request.u32(8) & FSYNC_DATA_ONLY) !== 0;
  return then(file.sync?.(isDataOnly), () => statusReply(request.unique, 0));
};

export const fallocate: Operation = (mount, request) => {
  checkWritable(mount);
  const { file } = mount.handles.file(request.u64(0));
  if (file.allocate === undefined) throw new FileSystemError("EOPNOTSUPP");
  const allocated = file.allocate(request.u32(24), request.size(8), request.size(16));
  return then(allocated, () => statusReply(request.unique, 0));
};

export const lseek: Operation = (mount, request) => {
  const { file } = mount.handles.file(request.u64(0));
  const whence = request.u32(16);
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FileSystemError("EINVAL");
  if (file.seek === undefined) throw new FileSystemError("ENOSYS");
  return then(file.seek(request.size(8), whence === SEEK_DATA ? "data" : "hole"), (offset) => {
    const { bytes, body } = reply(request.unique, 8);
    body.setBigUint64(0, BigInt(offset), true);
    return bytes;
  });
};
