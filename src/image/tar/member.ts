/** One member of a tar stream. @module */
import type { ByteString } from "../tree/tree.ts";

/** What a member says about one file, all extensions resolved. */
export interface TarMember {
  /** As written in the tar: neither checked nor cleaned. */
  readonly name: ByteString;
  readonly kind: TarMemberKind;
  /** Permission bits: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Of a file, holes included; otherwise 0. */
  readonly sizeBytes: number;
  /** Of a symbolic or hard link, as written; otherwise empty. */
  readonly linkTarget: ByteString;
  /** Of a device; otherwise 0. */
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

/** Takes the data of one member. */
export interface MemberSink {
  /** The bytes are good during the call only. */
  write(bytes: Uint8Array): void;
  writeZeros(count: number): void;
  end(): void;
}
