/**
 * Reading files of a sandbox whole.
 *
 * @module
 */
import type { FileCall } from "../../agent/file_call.ts";
import { FILE_DATA_BYTES_MAX, FileFlag } from "../../agent/file_messages.ts";
import type { Bytes } from "../../base/bytes.ts";
import { FileLimitError, SandboxFsOpsError } from "./errors.ts";
import type { FileCaller, FileWork } from "./file_caller.ts";

/** Reserved for a file before its content is there: what the guest says of its size may be a lie. */
const RESERVED_BYTES_MAX = 8 * 1024 * 1024;
/** The guest's answer to a small read of what could block. */
const ENODEV = 19;

/** What to read. */
export interface ReadRequest {
  readonly path: Bytes;
  readonly offset: number;
  /** `undefined`: all to the end. */
  readonly length: number | undefined;
  readonly bytesMax: number;
}

/**
 * The content of a file. A small one comes over the shared session, which must not block: so what turns out to be long, a FIFO
 * or a device is read again by a session of its own.
 *
 * @throws {FileLimitError} if it is longer than `bytesMax`.
 */
export async function readWhole(caller: FileCaller, work: FileWork, request: ReadRequest): Promise<Bytes> {
  const { path, offset, length, bytesMax } = request;
  const wanted = Math.min(length ?? Number.MAX_SAFE_INTEGER, bytesMax + 1);
  const first = Math.min(wanted, FILE_DATA_BYTES_MAX);
  const small = await readSmall(caller, work, { path, offset, length: first });
  if (small !== undefined && (small.length < first || first === wanted)) return within(small, work, bytesMax);
  const fields = { path, offset, length: wanted, flags: 0 };
  const whole = await caller.callAlone(work, "read", fields, (call) => collect(call, work, request));
  return within(whole, work, bytesMax);
}

/** What the shared session reads; `undefined` if it must not. */
async function readSmall(
  caller: FileCaller,
  work: FileWork,
  range: { readonly path: Bytes; readonly offset: number; readonly length: number },
): Promise<Bytes | undefined> {
  try {
    return await caller.call(work, "read", { ...range, flags: FileFlag.regularOnly }, collectSmall);
  } catch (error) {
    if (error instanceof SandboxFsOpsError && error.errno === ENODEV) return undefined;
    throw error;
  }
}

async function collectSmall(call: FileCall): Promise<Bytes> {
  const content = new ContentBuffer(0);
  for (let answer = await call.next(); answer !== undefined; answer = await call.next())
    if (answer.name === "data") content.append(answer.fields.data);
  return content.take();
}

async function collect(
  call: FileCall,
  work: FileWork,
  { offset, length, bytesMax }: ReadRequest,
): Promise<Bytes> {
  const opened = await call.next();
  const size = opened?.name === "opened" ? Math.max(opened.fields.size - offset, 0) : 0;
  if (length === undefined && size > bytesMax) throw tooLong(work, bytesMax);
  const content = new ContentBuffer(Math.min(size, length ?? size, RESERVED_BYTES_MAX));
  for (let answer = await call.next(); answer !== undefined; answer = await call.next())
    if (answer.name === "data") content.append(answer.fields.data);
  return content.take();
}

function within(content: Bytes, work: FileWork, bytesMax: number): Bytes {
  if (content.length > bytesMax) throw tooLong(work, bytesMax);
  return content;
}

function tooLong(work: FileWork, bytesMax: number): FileLimitError {
  return new FileLimitError(work, bytesMax, "bytes", "use readStream(), or raise bytesMax");
}

/** Content that grows as it comes. */
export class ContentBuffer {
  #bytes: Bytes;
  #size = 0;

  constructor(expectedBytes: number) {
    this.#bytes = new Uint8Array(expectedBytes);
  }

  get size(): number {
    return this.#size;
  }

  append(data: Uint8Array): void {
    const size = this.#size + data.length;
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(this.#size === 0 ? size : Math.max(size, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    }
    this.#bytes.set(data, this.#size);
    this.#size = size;
  }

  /** All of it; nothing is to be appended any more. */
  take(): Bytes {
    return this.#size === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#size);
  }
}
