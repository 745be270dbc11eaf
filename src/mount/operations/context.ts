/**
 * What the operations of a mount work on, and what they share.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { FileSystemError } from "../errno.ts";
import { ENTRY_OUT_BYTES } from "../fuse/constants.ts";
import { reply, type Validity, writeEntry } from "../fuse/reply.ts";
import type { FuseRequest } from "../fuse/request.ts";
import type { HandleTable } from "../handle_table.ts";
import { checkedName } from "../names.ts";
import type { MountNode, NodeTable } from "../node_table.ts";
import type { OwnerMap } from "../owner_map.ts";
import type { FileSystemProvider, MaybePromise, ProviderAttributes } from "../provider.ts";
import type { AbsentNames, ValidityRules } from "../validity.ts";
import type { LockWaits } from "./locks.ts";

export { then } from "../maybe_promise.ts";

/** One mount. */
export interface MountContext {
  readonly provider: FileSystemProvider;
  readonly nodes: NodeTable;
  readonly handles: HandleTable;
  readonly owners: OwnerMap | undefined;
  readonly isReadonly: boolean;
  /** Whether the kernel may keep for a while what is written. */
  readonly isWriteback: boolean;
  /** Whether locks are the provider's, and not the guest's own. */
  readonly hasLocks: boolean;
  readonly lockWaits: LockWaits;
  /** Makes the guest's kernel forget what it holds of a file. */
  readonly forget: (node: MountNode) => Promise<void>;
  /** For files of which it is unknown whether changes are told. */
  readonly validity: Validity;
  readonly validities: ValidityRules;
  readonly absent: AbsentNames;
  /** Most bytes of one read or write. */
  readonly transferBytesMax: number;
}

/** Handles one kind of request: gives its reply, or nothing where none is due. Failures are thrown. */
export type Operation = (mount: MountContext, request: FuseRequest) => MaybePromise<Bytes | undefined>;

/** The node that a request is about. */
export function nodeOf(mount: MountContext, request: FuseRequest): MountNode {
  return mount.nodes.get(request.node);
}

/** The path that a request is about. */
export function pathOf(mount: MountContext, request: FuseRequest): string {
  return mount.nodes.path(nodeOf(mount, request));
}

/** The name at `offset` of a request, and the path that it makes in the request's directory. */
export function entryOf(
  mount: MountContext,
  request: FuseRequest,
  offset: number,
): { readonly parent: MountNode; readonly name: string; readonly path: string; readonly end: number } {
  const { bytes, end } = request.text(offset);
  const name = checkedName(bytes);
  const parent = nodeOf(mount, request);
  return { parent, name, path: mount.nodes.entryPath(parent, name), end };
}

/** @throws {FileSystemError} EROFS */
export function checkWritable(mount: MountContext): void {
  if (mount.isReadonly) throw new FileSystemError("EROFS");
}

/** What the provider says of a file, as the guest sees it. */
export function seen(mount: MountContext, attributes: ProviderAttributes): ProviderAttributes {
  checkAttributes(attributes);
  return mount.owners === undefined ? attributes : mount.owners.toGuest(attributes);
}

/** A provider may be anybody's program: what cannot be encoded is EIO, not a broken reply. */
function checkAttributes({ size, allocated = 0, mode, uid, gid, links = 1 }: ProviderAttributes): void {
  const isSize = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (![size, allocated, mode, uid, gid, links].every(isSize)) throw new FileSystemError("EIO");
}

/** Tells the kernel of an entry: from now on it knows the node, and counts. */
export function enter(
  mount: MountContext,
  parent: MountNode,
  name: string,
  attributes: ProviderAttributes,
  isWanted = true,
): MountNode {
  return mount.nodes.enter(parent, name, identityOf(attributes), isWanted);
}

/** What tells a file from all others, its type last. */
export function identityOf({ device = 0n, inode, generation = 0n, type }: ProviderAttributes): string {
  return `${device}:${inode}:${generation}:${type}`;
}

/** The reply of a request that looked an entry up, or made it. */
export function entryReply(
  mount: MountContext,
  request: FuseRequest,
  parent: MountNode,
  name: string,
  attributes: ProviderAttributes,
  validity: Validity,
  isWanted = true,
): Bytes {
  const visible = seen(mount, attributes);
  const node = enter(mount, parent, name, attributes, isWanted);
  const { bytes, body } = reply(request.unique, ENTRY_OUT_BYTES);
  // So that a program that wants the entry asks for it.
  writeEntry(body, 0, node.id, visible, isWanted ? validity : { ...validity, entryMs: 0 });
  return bytes;
}
