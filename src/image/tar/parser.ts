/**
 * Parses a tar stream into members, from chunks of any size: v7, ustar, GNU (long names, sparse files, base-256
 * numbers) and PAX. The parser is fed synchronously and copies no file data: the bytes of a chunk go to the member's
 * sink unchanged.
 *
 * We have our own parser because names and extended attributes are bytes that must not change (a `security.capability`
 * is not UTF-8), and because a member of a few bytes should not cost a stream object.
 *
 * Source: POSIX.1-2017, `pax`; GNU tar manual, "Tar Internals".
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { MiB } from "../../base/bytes.ts";
import { TarInvalidError } from "../errors.ts";
import { byteString } from "../tree/byte_string.ts";
import { type ByteString, NO_XATTRS } from "../tree/tree.ts";
import { decodeHeader, FieldProblem, isZeroBlock, TAR_BLOCK_BYTES, type TarHeader } from "./header.ts";
import type { MemberSink, TarMember, TarMemberKind } from "./member.ts";
import {
  mergeGlobalRecords,
  NO_RECORDS,
  type PaxRecords,
  parsePax,
  paxInteger,
  paxTime,
  paxValue,
  paxXattrs,
} from "./pax.ts";
import {
  checkSparse,
  LeadingSparseList,
  OldSparseList,
  paxSparse,
  type SparsePart,
  SparseSink,
} from "./sparse.ts";

/** Longest extended header, in bytes: enough for the largest set of attributes that a file can have. */
export const EXTENSION_BYTES_MAX = 4 * MiB;
/** Highest user and group number. */
const ID_MAX = 0xffff_ffff;

/** Called for each member. If it returns no sink, the member's data is skipped. */
export type OnMember = (member: TarMember) => MemberSink | undefined;

/** Options of {@linkcode TarParser}. */
export interface TarParserOptions {
  /**
   * Refuse a tar without the zero blocks that mark its end. Without that mark, a tar that was cut between two members
   * looks complete.
   */
  readonly requireEnd?: boolean | undefined;
}

const KINDS: Readonly<Record<string, TarMemberKind>> = {
  "0": "file",
  "\0": "file",
  "7": "file", // contiguous, which means nothing today
  S: "file",
  "1": "hardlink",
  "2": "symlink",
  "3": "characterDevice",
  "4": "blockDevice",
  "5": "directory",
  "6": "fifo",
};

/** What the next bytes are part of. */
type State = "header" | "extension" | "oldSparse" | "leadingSparse" | "data" | "padding" | "ended";

export class TarParser {
  readonly #onMember: OnMember;
  readonly #requireEnd: boolean;
  #state: State = "header";
  /** A block that arrives in pieces. */
  readonly #block = Buffer.alloc(TAR_BLOCK_BYTES);
  #blockBytes = 0;
  /** Bytes of the extension, data or padding that are yet to come. */
  #missingBytes = 0;
  #paddingBytes = 0;
  #extension: Buffer = Buffer.alloc(0);
  #extensionFlag = "";
  #longName: ByteString | undefined;
  #longLinkName: ByteString | undefined;
  #globalRecords: PaxRecords = NO_RECORDS;
  #records: PaxRecords = NO_RECORDS;
  #header: TarHeader | undefined;
  #oldSparse: OldSparseList | undefined;
  #leadingSparse: LeadingSparseList | undefined;
  #realBytes: number | undefined;
  #sink: MemberSink | undefined;
  #member: ByteString | undefined;
  #zeroBlocks = 0;

  constructor(onMember: OnMember, options: TarParserOptions = {}) {
    this.#onMember = onMember;
    this.#requireEnd = options.requireEnd ?? true;
  }

  /** Parses the next bytes of the stream. @throws {TarInvalidError} */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && this.#state !== "ended") {
      switch (this.#state) {
        case "data":
        case "padding":
        case "extension": {
          const count = Math.min(this.#missingBytes, chunk.length - at);
          this.#takeBytes(chunk.subarray(at, at + count));
          at += count;
          break;
        }
        default: {
          const count = Math.min(TAR_BLOCK_BYTES - this.#blockBytes, chunk.length - at);
          this.#takeBlockPart(chunk.subarray(at, at + count));
          at += count;
        }
      }
    }
  }

  /** Ends the stream. @throws {TarInvalidError} The tar is cut short. */
  end(): void {
    if (this.#state === "ended") return;
    if (this.#state !== "header")
      throw new TarInvalidError(this.#member, "the stream ends within this member");
    if (this.#blockBytes > 0)
      throw new TarInvalidError(this.#member, "the stream ends within the header after this member");
    if (this.#zeroBlocks === 0 && this.#requireEnd) {
      throw new TarInvalidError(this.#member, "the stream ends without the end mark of a tar");
    }
  }

  /** Whether the end of the tar was reached. Anything after it is ignored. */
  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  #takeBytes(bytes: Uint8Array): void {
    if (this.#state === "data") this.#sink?.write(bytes);
    if (this.#state === "extension") this.#extension.set(bytes, this.#extension.length - this.#missingBytes);
    this.#missingBytes -= bytes.length;
    if (this.#missingBytes > 0) return;
    if (this.#state === "data") this.#endData();
    else if (this.#state === "extension") this.#endExtension();
    else this.#state = "header";
  }

  /** Collects a block. Most blocks are complete within one chunk. */
  #takeBlockPart(part: Uint8Array): void {
    if (part.length === TAR_BLOCK_BYTES) {
      this.#takeBlock(part);
      return;
    }
    this.#block.set(part, this.#blockBytes);
    this.#blockBytes += part.length;
    if (this.#blockBytes < TAR_BLOCK_BYTES) return;
    this.#blockBytes = 0;
    this.#takeBlock(this.#block);
  }

  #takeBlock(block: Uint8Array): void {
    if (this.#state === "header") {
      this.#takeHeader(block);
      return;
    }
    this.#blaming(() => {
      if (this.#state === "oldSparse") {
        this.#oldSparse!.addBlock(block);
        if (!this.#oldSparse!.isExtended) this.#startMember();
      } else {
        this.#takeLeadingSparse(block);
      }
    });
  }

  #takeHeader(block: Uint8Array): void {
    if (isZeroBlock(block)) {
      this.#zeroBlocks++;
      if (this.#zeroBlocks === 2) this.#state = "ended";
      return;
    }
    if (this.#zeroBlocks > 0)
      throw new TarInvalidError(this.#member, "a lone zero block follows this member");
    const header = decodeHeader(block, this.#member);
    this.#header = header;
    if ("xgLK".includes(header.typeFlag)) {
      this.#startExtension(header);
      return;
    }
    const records = this.#allRecords;
    const paxName = paxValue(records, "GNU.sparse.name") ?? paxValue(records, "path");
    this.#member = this.#longName ?? paxName ?? header.name;
    this.#blaming(() => {
      if (header.typeFlag === "S") {
        this.#oldSparse = new OldSparseList(block);
        if (this.#oldSparse.isExtended) {
          this.#state = "oldSparse";
          return;
        }
      }
      this.#startMember();
    });
  }

  #startExtension(header: TarHeader): void {
    this.#member = header.name; // until the name of the described member is known
    if (header.sizeBytes < 0 || header.sizeBytes > EXTENSION_BYTES_MAX) {
      throw new TarInvalidError(
        this.#member,
        `an extended header has ${header.sizeBytes} bytes: the limit is ${EXTENSION_BYTES_MAX}`,
      );
    }
    this.#extension = Buffer.allocUnsafe(header.sizeBytes);
    this.#extensionFlag = header.typeFlag;
    this.#startBytes("extension", header.sizeBytes);
    if (header.sizeBytes === 0) this.#endExtension();
  }

  #endExtension(): void {
    const payload = this.#extension;
    this.#blaming(() => {
      if (this.#extensionFlag === "L") this.#longName = untilNul(payload);
      else if (this.#extensionFlag === "K") this.#longLinkName = untilNul(payload);
      else if (this.#extensionFlag === "g")
        this.#globalRecords = mergeGlobalRecords(this.#globalRecords, parsePax(payload));
      else this.#records = parsePax(payload);
    });
    this.#extension = Buffer.alloc(0);
    this.#startPadding();
  }

  /** Starts a member, once its header and all extensions are known. */
  #startMember(): void {
    const header = this.#header!;
    const sparse = header.typeFlag === "S" ? undefined : paxSparse(this.#allRecords);
    const member = this.#buildMember(header, sparse?.realBytes ?? this.#oldSparse?.realBytes);
    const dataBytes = member.kind === "file" ? (paxInteger(this.#allRecords, "size") ?? header.sizeBytes) : 0;
    if (dataBytes < 0 || member.sizeBytes < 0) throw new FieldProblem("its size is negative");
    this.#records = NO_RECORDS;
    this.#longName = undefined;
    this.#longLinkName = undefined;
    const parts = this.#oldSparse?.parts ?? sparse?.parts;
    this.#oldSparse = undefined;
    this.#realBytes = member.sizeBytes;
    if (parts) checkSparse(parts, member.sizeBytes, dataBytes);
    this.#sink = this.#onMember(member);
    this.#startBytes("data", dataBytes);
    if (sparse && !parts) {
      this.#leadingSparse = new LeadingSparseList();
      this.#state = "leadingSparse";
      return;
    }
    if (parts) this.#spread(parts);
    if (dataBytes === 0) this.#endData();
  }

  #takeLeadingSparse(block: Uint8Array): void {
    this.#missingBytes -= TAR_BLOCK_BYTES;
    if (this.#missingBytes < 0) throw new FieldProblem("its sparse map exceeds its data");
    const parts = this.#leadingSparse!.addBlock(block);
    if (parts === undefined) return;
    checkSparse(parts, this.#realBytes!, this.#missingBytes);
    this.#spread(parts);
    this.#state = "data";
    if (this.#missingBytes === 0) this.#endData();
  }

  #spread(parts: readonly SparsePart[]): void {
    if (this.#sink) this.#sink = new SparseSink(this.#sink, parts, this.#realBytes!);
  }

  #endData(): void {
    this.#sink?.end();
    this.#sink = undefined;
    this.#startPadding();
  }

  #startBytes(state: State, sizeBytes: number): void {
    this.#state = state;
    this.#missingBytes = sizeBytes;
    this.#paddingBytes = (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
  }

  #startPadding(): void {
    this.#missingBytes = this.#paddingBytes;
    this.#state = this.#paddingBytes > 0 ? "padding" : "header";
  }

  get #allRecords(): PaxRecords {
    return this.#globalRecords.length === 0 ? this.#records : [...this.#globalRecords, ...this.#records];
  }

  #buildMember(header: TarHeader, realBytes: number | undefined): TarMember {
    const records = this.#allRecords;
    const name = this.#member!;
    const kind = kindOf(header.typeFlag, name);
    const time = paxTime(records, "mtime");
    const isDevice = kind === "characterDevice" || kind === "blockDevice";
    return {
      name,
      kind,
      mode: header.mode & 0o7777,
      uid: checkId(paxInteger(records, "uid") ?? header.uid, "uid"),
      gid: checkId(paxInteger(records, "gid") ?? header.gid, "gid"),
      mtimeSeconds: time?.seconds ?? header.mtimeSeconds,
      mtimeNanoseconds: time?.nanoseconds ?? 0,
      sizeBytes: kind === "file" ? (realBytes ?? paxInteger(records, "size") ?? header.sizeBytes) : 0,
      linkTarget:
        kind === "symlink" || kind === "hardlink"
          ? (this.#longLinkName ?? paxValue(records, "linkpath") ?? header.linkName)
          : "",
      major: isDevice ? header.major : 0,
      minor: isDevice ? header.minor : 0,
      xattrs: records === NO_RECORDS ? NO_XATTRS : paxXattrs(records),
    };
  }

  /** Adds the member's name to an error from code that does not know it. */
  #blaming(operation: () => void): void {
    try {
      operation();
    } catch (error) {
      if (error instanceof FieldProblem) throw new TarInvalidError(this.#member, error.message);
      throw error;
    }
  }
}

function kindOf(typeFlag: string, name: ByteString): TarMemberKind {
  const kind = KINDS[typeFlag];
  if (kind === undefined) throw new FieldProblem(`its type "${typeFlag}" is not supported`);
  return kind === "file" && name.endsWith("/") ? "directory" : kind; // tars older than the directory type
}

function checkId(value: number, what: string): number {
  if (value < 0 || value > ID_MAX)
    throw new FieldProblem(`its ${what} must be from 0 to ${ID_MAX}: current value is ${value}`);
  return value;
}

/**
 * Decodes a GNU long name, which ends with a NUL. A name with more NULs is refused, because programs would read it
 * differently.
 */
function untilNul(payload: Uint8Array): ByteString {
  const name = byteString(payload).replace(/\0+$/, "");
  if (name.includes("\0")) throw new FieldProblem("its name has a NUL");
  return name;
}
