/**
 * Applies a tar stream to a file tree: names go into the tree, data into the image that is being written. Use one
 * stream on an empty tree to import it, or several in turn for the layers of an OCI image.
 *
 * @module
 */
import { unreachable } from "../base/assert.ts";
import { KiB } from "../base/bytes.ts";
import { TarInvalidError, TreeInvalidError } from "./errors.ts";
import { abortable } from "./stream/byte_stream.ts";
import { Pace } from "./stream/yielding.ts";
import type { MemberSink, TarMember } from "./tar/member.ts";
import { type AbsoluteNames, memberPath } from "./tar/member_path.ts";
import { TarParser } from "./tar/parser.ts";
import { compact, displayName } from "./tree/byte_string.ts";
import { isSameNode } from "./tree/packed_files.ts";
import {
  type ByteString,
  type ContentStore,
  createDirectory,
  type DirectoryNode,
  type FileNode,
  type NodeMetadata,
  PATH_BYTES_MAX,
  type TreeNode,
} from "./tree/tree.ts";
import { TreeBudget } from "./tree/tree_budget.ts";
import { findNode, findPosition } from "./tree/tree_path.ts";

export type { TarMember, TarMemberKind } from "./tar/member.ts";
export type { AbsoluteNames } from "./tar/member_path.ts";

/** Most members of one tar. */
export const TAR_MEMBERS_MAX = 4_000_000;
/** Bytes of a tar to parse before checking the clock: at most 128 members. */
const STEP_BYTES = 64 * KiB;

/** Options of {@linkcode applyTar}. */
export interface ApplyTarOptions {
  readonly signal?: AbortSignal | undefined;
  /** Accept device nodes; otherwise they are an error. @default {false} */
  readonly allowDevices?: boolean | undefined;
  /** Creates the directories of the tree. @default {createDirectory} */
  readonly createDirectory?: (() => DirectoryNode) | undefined;
  /** Memory that the tree may still take: share one budget among all tars of an image. @default a new one */
  readonly budget?: TreeBudget | undefined;
  /** @default {"refuse"} */
  readonly absoluteNames?: AbsoluteNames | undefined;
  /** Require the tar's end mark. Pass `false` for a tar that is checked against a digest. @default {true} */
  readonly requireEnd?: boolean | undefined;
  /**
   * Called before each member; `"skip"` leaves out the member and its data. Whiteouts are handled here, so the hook may
   * change the tree.
   */
  readonly beforeMember?: ((member: TarMember, path: ByteString) => "apply" | "skip") | undefined;
  /** Called once a member's node, including its data, is in the tree. */
  readonly afterMember?: ((node: TreeNode, path: ByteString) => void) | undefined;
}

/** Result of {@linkcode applyTar}. */
export interface ApplyTarReport {
  readonly memberCount: number;
}

/**
 * Applies the uncompressed tar `source` to `root`, member by member. A later member replaces an earlier one of the same
 * name; a directory keeps its entries. Parents without a member of their own become directories owned by root with mode
 * 0755.
 *
 * @param store Receives the data and later provides the files' contents.
 * @throws {TarInvalidError} `member` names the bad member. The tree is left half changed: discard it.
 * @throws {AbortedError}
 */
export async function applyTar(
  source: AsyncIterable<Uint8Array>,
  root: DirectoryNode,
  store: ContentStore,
  options: ApplyTarOptions = {},
): Promise<ApplyTarReport> {
  const applier = new TarApplier(root, store, options);
  const parser = new TarParser((member) => applier.apply(member), { requireEnd: options.requireEnd });
  const pace = new Pace("reading a tar", options.signal);
  for await (const chunk of abortable(source, "reading a tar", options.signal)) {
    for (let at = 0; at < chunk.length; at += STEP_BYTES) {
      parser.push(chunk.subarray(at, at + STEP_BYTES));
      if (pace.isTurnOver()) await pace.turn();
    }
  }
  parser.end();
  return { memberCount: applier.memberCount };
}

class TarApplier {
  readonly #root: DirectoryNode;
  readonly #store: ContentStore;
  readonly #options: ApplyTarOptions;
  readonly #budget: TreeBudget;
  readonly #createDirectory: () => DirectoryNode;
  memberCount = 0;

  constructor(root: DirectoryNode, store: ContentStore, options: ApplyTarOptions) {
    this.#createDirectory = options.createDirectory ?? createDirectory;
    this.#budget = options.budget ?? new TreeBudget();
    this.#root = root;
    this.#store = store;
    this.#options = options;
  }

  apply(member: TarMember): MemberSink | undefined {
    if (++this.memberCount > TAR_MEMBERS_MAX) {
      throw new TarInvalidError(member.name, `the tar has more than ${TAR_MEMBERS_MAX} members`);
    }
    const path = memberPath(member.name, member.name, "its name", this.#options.absoluteNames ?? "refuse");
    try {
      if (this.#options.beforeMember?.(member, path) === "skip") return undefined;
      return this.#place(member, path);
    } catch (error) {
      if (!(error instanceof TreeInvalidError)) throw error;
      throw new TarInvalidError(member.name, error.problem, { cause: error });
    }
  }

  #place(member: TarMember, path: ByteString): MemberSink | undefined {
    if (path === "") {
      if (member.kind !== "directory") throw new TarInvalidError(member.name, "the root must be a directory");
      this.#setMetadata(this.#root, member, path);
      return undefined;
    }
    const target = member.kind === "hardlink" ? this.#findLinkTarget(member, path) : undefined;
    const { directory, name } = findPosition(this.#root, path, { create: this.#createParent })!;
    if (member.kind === "file") return this.#placeFile(member, path, directory, name);
    const present = directory.entries.get(name);
    if (member.kind === "directory" && present?.kind === "directory") {
      this.#setMetadata(present, member, path);
      return undefined;
    }
    const node = target ?? this.#createNode(member);
    if (target !== undefined && present !== undefined && isSameNode(target, present)) return undefined;
    this.#put(directory, name, node, target === undefined);
    this.#options.afterMember?.(node, path);
    return undefined;
  }

  readonly #createParent = (name: ByteString): DirectoryNode => {
    const directory = this.#createDirectory();
    this.#budget.takeNode(directory);
    this.#budget.takeEntry(name);
    return directory;
  };

  #put(directory: DirectoryNode, name: ByteString, node: TreeNode, isNew: boolean): void {
    if (isNew) this.#budget.takeNode(node);
    this.#budget.takeEntry(name);
    directory.entries.set(compact(name), node);
  }

  #placeFile(member: TarMember, path: ByteString, directory: DirectoryNode, name: ByteString): MemberSink {
    const metadata = this.#metadataOf(member);
    const sink = this.#store.addFile(member.sizeBytes);
    return {
      write: (bytes) => sink.write(bytes),
      writeZeros: (count) => sink.writeZeros(count),
      end: () => {
        const node: FileNode = { kind: "file", ...metadata, content: sink.end() };
        this.#put(directory, name, node, true);
        this.#options.afterMember?.(node, path);
      },
    };
  }

  /** Creates the node of a member that is neither a file nor a hard link. */
  #createNode(member: TarMember): TreeNode {
    const metadata = this.#metadataOf(member);
    switch (member.kind) {
      case "directory":
        return { ...this.#createDirectory(), ...metadata };
      case "symlink":
        checkSymlinkTarget(member);
        return { kind: "symlink", ...metadata, target: compact(member.linkTarget) };
      case "characterDevice":
      case "blockDevice":
        if (!this.#options.allowDevices)
          throw new TarInvalidError(member.name, "it is a device node, which is not allowed here");
        return { kind: member.kind, ...metadata, major: member.major, minor: member.minor };
      case "fifo":
        return { kind: "fifo", ...metadata };
      case "file":
      case "hardlink":
        throw new TarInvalidError(member.name, "it has no node of its own");
      default:
        return unreachable(member.kind);
    }
  }

  #metadataOf(member: TarMember): NodeMetadata {
    const { mode, uid, gid, mtimeSeconds, mtimeNanoseconds } = member;
    const xattrs = this.#budget.shareXattrs(member.xattrs);
    return { mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs };
  }

  #setMetadata(directory: DirectoryNode, member: TarMember, path: ByteString): void {
    Object.assign(directory, this.#metadataOf(member));
    this.#options.afterMember?.(directory, path);
  }

  /** Finds the file, already in the tree, that a hard link names. */
  #findLinkTarget(member: TarMember, path: ByteString): TreeNode {
    const absolute = this.#options.absoluteNames ?? "refuse";
    const targetPath = memberPath(member.name, member.linkTarget, "its link target", absolute);
    const shown = displayName(targetPath);
    if (targetPath === path) throw new TarInvalidError(member.name, "it is a hard link to itself");
    const target = findNode(this.#root, targetPath);
    if (target === undefined)
      throw new TarInvalidError(member.name, `it is a hard link to "${shown}", which is not there`);
    if (target.kind === "directory")
      throw new TarInvalidError(member.name, `it is a hard link to the directory "${shown}"`);
    return target;
  }
}

function checkSymlinkTarget({ name, linkTarget }: TarMember): void {
  if (linkTarget === "") throw new TarInvalidError(name, "its link target is empty");
  if (linkTarget.includes("\0")) throw new TarInvalidError(name, "its link target has a NUL");
  if (linkTarget.length > PATH_BYTES_MAX) {
    throw new TarInvalidError(
      name,
      `its link target has ${linkTarget.length} bytes: the limit is ${PATH_BYTES_MAX}`,
    );
  }
}
