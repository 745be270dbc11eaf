/**
 * Requests that look names up, make them, rename them and take them away.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { Errno, errnoOf, FileSystemError } from "../errno.ts";
import { ENTRY_OUT_BYTES, RENAME_EXCHANGE, RENAME_EXCLUSIVE, TYPE_BITS } from "../fuse/constants.ts";
import { dataReply, reply, statusReply, type Validity, writeEntry } from "../fuse/reply.ts";
import type { FuseRequest } from "../fuse/request.ts";
import { checkedName, decodeName, encodeName, PATH_BYTES_MAX } from "../names.ts";
import type { MountNode } from "../node_table.ts";
import type { FileType, MaybePromise, ProviderAttributes } from "../provider.ts";
import {
  checkWritable,
  entryOf,
  entryReply,
  type MountContext,
  type Operation,
  pathOf,
  then,
} from "./context.ts";

const S_IFMT = 0o170000;
const TYPES: ReadonlyMap<number, FileType> = new Map(
  Object.entries(TYPE_BITS).map(([type, bits]) => [bits, type as FileType]),
);

export const lookup: Operation = (mount, request) => lookUp(mount, request, true);

/** @param isWanted Whether it is a program of the guest that asks. */
export function lookUp(mount: MountContext, request: FuseRequest, isWanted: boolean): MaybePromise<Bytes> {
  const { parent, name, path } = entryOf(mount, request, 0);
  const validity = mount.validities.before(path);
  const found = (attributes: ProviderAttributes) =>
    entryReply(mount, request, parent, name, attributes, validity(attributes), isWanted);
  const none = (error: unknown) => missing(mount, request, parent, name, validity(), error);
  try {
    const attributes = mount.provider.attributes(path);
    return attributes instanceof Promise ? attributes.then(found, none) : found(attributes);
  } catch (error) {
    return none(error);
  }
}

/** That there is no entry may be remembered as well. */
function missing(
  mount: MountContext,
  request: FuseRequest,
  parent: MountNode,
  name: string,
  validity: Validity,
  error: unknown,
): Bytes {
  if (errnoOf(error) !== Errno.ENOENT) throw error;
  mount.nodes.removed(parent, name);
  const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES);
  const isLong = validity.entryMs > mount.validity.entryMs;
  const isKept = !isLong || mount.absent.add(parent, name, validity.entryMs);
  writeEntry(body, 0, 0n, undefined, isKept ? validity : mount.validity);
  return bytes;
}

export const readlink: Operation = (mount, request) => {
  const { provider } = mount;
  if (provider.readLink === undefined) throw new FileSystemError("EINVAL");
  return then(provider.readLink(pathOf(mount, request)), (target) => {
    const bytes = encodeName(target);
    if (bytes.length > PATH_BYTES_MAX) throw new FileSystemError("ENAMETOOLONG");
    return dataReply(request.unique, bytes);
  });
};

/** Runs what makes an entry, and tells the kernel of the entry. */
function made(
  mount: MountContext,
  request: FuseRequest,
  entry: { readonly parent: MountNode; readonly name: string; readonly path: string },
  make: MaybePromise<void>,
): MaybePromise<Bytes> {
  return then(make, () => {
    const validity = mount.validities.before(entry.path);
    return then(mount.provider.attributes(entry.path), (attributes) =>
      entryReply(mount, request, entry.parent, entry.name, attributes, validity(attributes)),
    );
  });
}

export const mkdir: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider } = mount;
  const mode = request.u32(0) & 0o1777 & ~request.u32(4);
  const entry = entryOf(mount, request, 8);
  if (provider.makeDirectory === undefined) throw new FileSystemError("EROFS");
  return made(mount, request, entry, provider.makeDirectory(entry.path, mode));
};

export const mknod: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider } = mount;
  const bits = request.u32(0);
  const type = (bits & S_IFMT) === 0 ? "file" : TYPES.get(bits & S_IFMT);
  const mode = bits & 0o777 & ~request.u32(8);
  const special = request.u32(4);
  const entry = entryOf(mount, request, 16);
  if (type === undefined || type === "directory" || type === "symlink") throw new FileSystemError("EINVAL");
  if (provider.makeNode === undefined) throw new FileSystemError("EPERM");
  return made(mount, request, entry, provider.makeNode(entry.path, type, mode, special));
};

export const symlink: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider } = mount;
  const entry = entryOf(mount, request, 0);
  const target = request.text(entry.end).bytes;
  if (target.length === 0) throw new FileSystemError("ENOENT");
  if (target.length > PATH_BYTES_MAX) throw new FileSystemError("ENAMETOOLONG");
  if (provider.makeSymlink === undefined) throw new FileSystemError("EPERM");
  return made(mount, request, entry, provider.makeSymlink(entry.path, decodeName(target)));
};

export const link: Operation = (mount, request) => {
  checkWritable(mount);
  const { provider, nodes } = mount;
  const existing = nodes.path(nodes.get(request.u64(0)));
  const entry = entryOf(mount, request, 8);
  if (provider.makeLink === undefined) throw new FileSystemError("EPERM");
  return made(mount, request, entry, provider.makeLink(existing, entry.path));
};

/** A directory is removed by `rmdir`, anything else by `unlink`. */
function remover(method: "removeFile" | "removeDirectory"): Operation {
  return (mount, request) => {
    checkWritable(mount);
    const { provider } = mount;
    const { parent, name, path } = entryOf(mount, request, 0);
    const remove = provider[method];
    if (remove === undefined) throw new FileSystemError("EROFS");
    return then(remove.call(provider, path), () => {
      mount.nodes.removed(parent, name);
      return statusReply(request.unique, 0);
    });
  };
}

export const unlink: Operation = remover("removeFile");
export const rmdir: Operation = remover("removeDirectory");

/** `rename` has no flags, `rename2` has. */
function renamer(namesOffset: number, flagsOffset: number | undefined): Operation {
  return (mount, request) => {
    checkWritable(mount);
    const { provider, nodes } = mount;
    const flags = flagsOffset === undefined ? 0 : request.u32(flagsOffset);
    if ((flags & ~(RENAME_EXCLUSIVE | RENAME_EXCHANGE)) !== 0) throw new FileSystemError("EINVAL");
    const from = entryOf(mount, request, namesOffset);
    const to = nodes.get(request.u64(0));
    const name = checkedName(request.text(from.end).bytes);
    const options = {
      exclusive: (flags & RENAME_EXCLUSIVE) !== 0,
      exchange: (flags & RENAME_EXCHANGE) !== 0,
    };
    if (options.exclusive && options.exchange) throw new FileSystemError("EINVAL");
    if (provider.rename === undefined) throw new FileSystemError("EROFS");
    return then(provider.rename(from.path, nodes.entryPath(to, name), options), () => {
      nodes.renamed(from.parent, from.name, to, name, options.exchange);
      return statusReply(request.unique, 0);
    });
  };
}

export const rename: Operation = renamer(8, undefined);
export const rename2: Operation = renamer(16, 8);
