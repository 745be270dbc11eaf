/**
 * Writing files of a sandbox: whole, and in pieces.
 *
 * @module
 */
import type { FileCall } from "../../agent/file_call.ts";
import { FILE_PART_BYTES } from "../../agent/file_codec.ts";
import { FILE_DATA_BYTES_MAX, FileFlag, type FileMessageFields } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import { type Bytes, encodeUtf8 } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { fileError, SandboxFsOpsError } from "./errors.ts";
import { answerOf, type FileCaller, type FileWork } from "./file_caller.ts";
import type { FsWriteOptions } from "./options.ts";

/** What can be written: text (as UTF-8), bytes, a `Blob`, or a stream or iterable of text and bytes. */
export type FsContent =
  | string
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array | string>
  | AsyncIterable<Uint8Array | string>;

/** Where and how to write. */
export type WriteTarget = Omit<FileMessageFields<"write">, "data">;

/** The guest's answer where the shared session must not write: a FIFO, a device. */
const ENODEV = 19;

/** The request of checked options. @throws {InvalidConfigError} if they exclude each other. */
export function writeTarget(path: Bytes, options: FsWriteOptions): WriteTarget {
  const { append = false, offset, atomic = false, exclusive = false, create = true } = options;
  const refuse = (field: string, problem: string) => new InvalidConfigError([{ field, problem }]);
  if (append && offset !== undefined) throw refuse("offset", "cannot be combined with append");
  if (atomic && (append || offset !== undefined))
    throw refuse("atomic", "writes whole files only: not with append or offset");
  if (atomic && !create) throw refuse("atomic", "makes a new file: not with create: false");
  if (exclusive && !create) throw refuse("exclusive", "needs a file to be made: not with create: false");
  const isWhole = !append && offset === undefined;
  const flags =
    ((options.createParents ?? true) ? FileFlag.parents : 0) |
    (create ? FileFlag.create : 0) |
    (exclusive ? FileFlag.exclusive : 0) |
    (isWhole ? FileFlag.truncate : 0) |
    (append ? FileFlag.append : 0) |
    (atomic ? FileFlag.atomic : 0) |
    (options.sync === true ? FileFlag.sync : 0) |
    (options.mode === undefined ? 0 : FileFlag.setMode);
  return { path, flags, mode: options.mode ?? 0, offset: offset ?? 0, modifiedNs: 0n };
}

/** Writes all of `content`. */
export async function writeWhole(
  caller: FileCaller,
  work: FileWork,
  target: WriteTarget,
  content: FsContent,
): Promise<void> {
  const bytes = await bytesOf(content);
  if (bytes === undefined) return await writePieces(caller, work, target, piecesOf(content));
  if (bytes.length > FILE_DATA_BYTES_MAX) return await writePieces(caller, work, target, [bytes]);
  try {
    const flags = target.flags | FileFlag.regularOnly;
    await caller.request(work, "write", { ...target, flags, data: bytes });
  } catch (error) {
    if (!(error instanceof SandboxFsOpsError) || error.errno !== ENODEV) throw error;
    await caller.callAlone(work, "write", { ...target, data: bytes }, (call) => call.result());
  }
}

/** Small content as bytes; `undefined` for what comes in pieces. @throws {InvalidConfigError} if it is nothing to write. */
async function bytesOf(content: unknown): Promise<Uint8Array | undefined> {
  if (typeof content === "string") return encodeUtf8(content);
  if (content instanceof Uint8Array) return content;
  if (content instanceof ArrayBuffer) return new Uint8Array(content);
  if (content instanceof Blob)
    return content.size <= FILE_DATA_BYTES_MAX ? new Uint8Array(await content.arrayBuffer()) : undefined;
  if (typeof content === "object" && content !== null && Symbol.asyncIterator in content) return undefined;
  const problem = "must be a string, bytes, a Blob, a ReadableStream or an async iterable";
  throw new InvalidConfigError([{ field: "data", problem }]);
}

function piecesOf(content: unknown): AsyncIterable<unknown> {
  return (content instanceof Blob ? content.stream() : content) as AsyncIterable<unknown>;
}

async function writePieces(
  caller: FileCaller,
  work: FileWork,
  target: WriteTarget,
  pieces: AsyncIterable<unknown> | Iterable<unknown>,
): Promise<void> {
  const write = async (session: FileSession) => {
    const writer = await FileWriter.open(session, work, target);
    try {
      for await (const piece of pieces) await writer.write(pieceBytes(piece));
    } catch (error) {
      await writer.abort();
      throw error;
    }
    await writer.finish();
  };
  await caller.alone(work, write, "leave");
}

/** A piece of content as bytes. @throws {InvalidConfigError} */
export function pieceBytes(piece: unknown): Uint8Array {
  if (typeof piece === "string") return encodeUtf8(piece);
  if (piece instanceof Uint8Array) return piece;
  if (piece instanceof ArrayBuffer) return new Uint8Array(piece);
  const problem = `must come in strings and Uint8Arrays: got ${piece === null ? "null" : typeof piece}`;
  throw new InvalidConfigError([{ field: "data", problem }]);
}

/** A file that is being written. */
export class FileWriter {
  /** What becomes of it. */
  readonly done: Promise<void>;
  readonly #session: FileSession;
  readonly #call: FileCall;
  #aborted: Promise<void> | undefined;

  /** Opens the file. @throws {SandboxFsOpsError} */
  static async open(session: FileSession, work: FileWork, target: WriteTarget): Promise<FileWriter> {
    const call = session.call("writeOpen", target);
    try {
      answerOf("opened", await call.next());
    } catch (error) {
      throw fileError(error, work);
    }
    return new FileWriter(session, work, call);
  }

  private constructor(session: FileSession, work: FileWork, call: FileCall) {
    this.#session = session;
    this.#call = call;
    this.done = this.#result(work);
    this.done.catch(() => {}); // write() and finish() tell as well
  }

  /** Resolves when all of it is on its way. @throws {SandboxFsOpsError} if the file takes no more. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += FILE_PART_BYTES) {
      const data = bytes.subarray(offset, offset + FILE_PART_BYTES);
      if (!(await this.#call.send("writeData", { data }))) return await this.done;
    }
  }

  /** Resolves when the file is complete. @throws {SandboxFsOpsError} */
  async finish(): Promise<void> {
    await this.#call.send("writeEnd", {});
    await this.#call.holding(this.done);
  }

  /** Gives up: one that is written beside its place leaves nothing behind, another one stays as far as it was written. */
  abort(): Promise<void> {
    this.#aborted ??= this.#abort();
    return this.#aborted;
  }

  /** Whether it is complete, or has failed. */
  get isOver(): boolean {
    return this.#call.isOver;
  }

  async #abort(): Promise<void> {
    this.#call.discard();
    await this.#session.leave();
  }

  async #result(work: FileWork): Promise<void> {
    try {
      await this.#call.result(false); // a file that is left open is not a reason to wait
    } catch (error) {
      throw fileError(error, work);
    }
  }
}
