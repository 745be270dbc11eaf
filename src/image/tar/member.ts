/** One member of a tar stream. @module */
import type { ByteString } from "../tree/tree.ts";

/** Metadata of a member, with all extensions resolved. */
export interface TarMember {
  /** Name as written in the tar, neither checked nor normalized. */
  readonly name: ByteString;
  readonly kind: TarMemberKind;
  /** Permission bits: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Size of a file including its holes; otherwise 0. */
  readonly sizeBytes: number;
  /** Target of a symbolic or hard link, as written; otherwise empty. */
  readonly linkTarget: ByteString;
  /** Device number; 0 for other kinds. */
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<ByteString, Uint8Array>;
}

export type TarMemberKind =
  | "file"
  | "directory"
  | "symlink"
  | "hardlink"
  | "characterDevice"
  | "blockDevice"
  | "fifo";

/** Receives the data of one member. */
export interface MemberSink {
  /** Receives bytes, which are valid only during the call. */
  write(bytes: Uint8Array): void;
  writeZeros(count: number): void;
  end(): void;
}
