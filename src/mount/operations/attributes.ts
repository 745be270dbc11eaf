/**
 * Requests for what is known of files, and to change it.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { concatBytes } from "../../base/bytes.ts";
import { FileSystemError } from "../errno.ts";
import { GETATTR_HANDLE, SetattrFlag, XATTR_CREATE, XATTR_REPLACE } from "../fuse/constants.ts";
import { attributesReply, dataReply, reply, statusReply } from "../fuse/reply.ts";
import type { FuseRequest } from "../fuse/request.ts";
import { decodeName, encodeName, NAME_BYTES_MAX } from "../names.ts";
import type { MountNode } from "../node_table.ts";
import type { AttributeChanges, MaybePromise, ProviderAttributes, ProviderFile } from "../provider.ts";
import type { ValidityOf } from "../validity.ts";
import { checkWritable, type MountContext, nodeOf, type Operation, pathOf, seen, then } from "./context.ts";
import { losingSetId } from "./set_id.ts";

/** Largest value of an extended attribute: XATTR_SIZE_MAX of Linux. */
const EXTENDED_BYTES_MAX = 64 * 1024;

/** The open file that a request is about, if it names one, or if the file has no name any more. */
function openFile(
  mount: MountContext,
  node: MountNode,
  handle: bigint | undefined,
): ProviderFile | undefined {
  if (handle !== undefined) return mount.handles.file(handle).file;
  return node === mount.nodes.root || node.links.length > 0 ? undefined : mount.handles.fileOf(node.id);
}

/** No notice tells of changes to an open file that has no path any more. */
function validityOf({ nodes, validities, validity }: MountContext, node: MountNode): ValidityOf {
  const path = nodes.knownPath(node);
  return path === undefined ? () => validity : validities.before(path);
}

export const getattr: Operation = (mount, request) => {
  const node = nodeOf(mount, request);
  const file = openFile(mount, node, (request.u32(0) & GETATTR_HANDLE) !== 0 ? request.u64(8) : undefined);
  const validity = validityOf(mount, node);
  const attributes =
    file === undefined ? mount.provider.attributes(mount.nodes.path(node)) : file.attributes();
  return then(attributes, (found) =>
    attributesReply(request.unique, node.id, seen(mount, found), validity(found)),
  );
};

export const setattr: Operation = (mount, request) => {
  checkWritable(mount);
  const node = nodeOf(mount, request);
  const valid = request.u32(0);
  const validity = validityOf(mount, node);
  const file = openFile(mount, node, (valid & SetattrFlag.handle) !== 0 ? request.u64(8) : undefined);
  const wanted = changesOf(request, valid);
  const changes = mount.owners === undefined ? wanted : mount.owners.toHost(wanted);
  const path = () => mount.nodes.path(node);
  const loses = (valid & (SetattrFlag.dropSetId | SetattrFlag.uid | SetattrFlag.gid)) !== 0;
  const complete = loses
    ? then(file === undefined ? mount.provider.attributes(path()) : file.attributes(), (attributes) =>
        losingSetId(changes, attributes),
      )
    : changes;
  return then(
    then(complete, (all) => change(mount, file, path, all)),
    (attributes) => attributesReply(request.unique, node.id, seen(mount, attributes), validity(attributes)),
  );
};

/** Changes a file, by its handle if there is one, and looks at it again. */
function change(
  { provider }: MountContext,
  file: ProviderFile | undefined,
  path: () => string,
  changes: AttributeChanges,
): MaybePromise<ProviderAttributes> {
  if (file?.setAttributes !== undefined) return then(file.setAttributes(changes), () => file.attributes());
  if (provider.setAttributes === undefined) throw new FileSystemError("EROFS");
  return then(provider.setAttributes(path(), changes), () =>
    file === undefined ? provider.attributes(path()) : file.attributes(),
  );
}

function changesOf(request: FuseRequest, valid: number): AttributeChanges {
  const has = (flag: number) => (valid & flag) !== 0;
  const now = BigInt(Date.now()) * 1_000_000n;
  const time = (set: number, setNow: number, seconds: number, nanoseconds: number) =>
    has(setNow) ? now : has(set) ? request.time(seconds, nanoseconds) : undefined;
  return {
    mode: has(SetattrFlag.mode) ? request.u32(68) & 0o7777 : undefined,
    uid: has(SetattrFlag.uid) ? request.u32(76) : undefined,
    gid: has(SetattrFlag.gid) ? request.u32(80) : undefined,
    size: has(SetattrFlag.size) ? request.size(16) : undefined,
    accessedNs: time(SetattrFlag.accessed, SetattrFlag.accessedNow, 32, 56),
    modifiedNs: time(SetattrFlag.modified, SetattrFlag.modifiedNow, 40, 60),
  };
}

export const statfs: Operation = (mount, request) => {
  const statistics = mount.provider.statistics?.() ?? {
    blockBytes: 4096,
    blocks: 0,
    freeBlocks: 0,
    availableBlocks: 0,
    files: 0,
    freeFiles: 0,
  };
  return then(statistics, ({ blockBytes, blocks, freeBlocks, availableBlocks, files, freeFiles }) => {
    const { bytes, body } = reply(request.unique, 80);
    [blocks, freeBlocks, availableBlocks, files, freeFiles].forEach((value, index) => {
      body.setBigUint64(8 * index, BigInt(value), true);
    });
    body.setUint32(40, blockBytes, true);
    body.setUint32(44, NAME_BYTES_MAX, true);
    body.setUint32(48, blockBytes, true);
    return bytes;
  });
};

// ---- extended attributes

/** The kernel asks for the size first (0), then for the value, with the room that it has. */
function sized(request: FuseRequest, room: number, value: Uint8Array): Bytes {
  if (room !== 0 && value.length > room) throw new FileSystemError("ERANGE");
  if (room !== 0) return dataReply(request.unique, value);
  const { bytes, body } = reply(request.unique, 8);
  body.setUint32(0, value.length, true);
  return bytes;
}

function extendedName(bytes: Uint8Array): string {
  if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX) throw new FileSystemError("ERANGE");
  return decodeName(bytes);
}

export const getxattr: Operation = (mount, request) => {
  const { provider } = mount;
  const name = extendedName(request.text(8).bytes);
  if (provider.getExtended === undefined) throw new FileSystemError("ENOSYS");
  return then(provider.getExtended(pathOf(mount, request), name), (value) =>
    sized(request, request.u32(0), value),
  );
};

export const listxattr: Operation = (mount, request) => {
  const { provider } = mount;
  if (provider.listExtended === undefined) throw new FileSystemError("ENOSYS");
  return then(provider.listExtended(pathOf(mount, request)), (names) =>
    sized(request, request.u32(0), concatBytes(names.map((name) => encodeName(`${name}\0`)))),
  );
};

export const setxattr: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider } = mount;
  const size = request.u32(0);
  const flags = request.u32(4);
  const { bytes, end } = request.text(8);
  const name = extendedName(bytes);
  if (size > EXTENDED_BYTES_MAX) throw new FileSystemError("ERANGE");
  if (provider.setExtended === undefined) throw new FileSystemError("ENOSYS");
  const existing = flags === XATTR_CREATE ? "new" : flags === XATTR_REPLACE ? "old" : "any";
  const set = provider.setExtended(pathOf(mount, request), name, request.bytes(end, size), existing);
  return then(set, () => statusReply(request.unique, 0));
};

export const removexattr: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider } = mount;
  const name = extendedName(request.text(0).bytes);
  if (provider.removeExtended === undefined) throw new FileSystemError("ENOSYS");
  return then(provider.removeExtended(pathOf(mount, request), name), () => statusReply(request.unique, 0));
};
