/**
 * Streams that tests create, append to and close over HTTP, as the writing half of the Durable Streams protocol has it. Every
 * append is a record in a real log, by the writer that the VM host process has; whatever is read is read by `logResponse()`.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type ExecLogWriter, openExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { logResponse } from "../../../src/logs/log_response.ts";
import { openLogStream } from "../../../src/logs/log_stream.ts";
import { SANDBOX_STOPPED_TEXT } from "../../../src/logs/markers.ts";
import type { LogEntry } from "../../../src/logs/types.ts";
import { SandboxNotFoundError } from "../../../src/state/errors.ts";

const SESSION_ID = 1;
const JSON_TYPE = "application/json";

interface StoredStream {
  readonly directory: string;
  readonly sandboxId: string;
  readonly contentType: string;
  readonly writer: ExecLogWriter;
  isClosed: boolean;
}

/** What is wrong with a request. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class StreamStore implements Disposable {
  readonly #root: string;
  readonly #streams = new Map<string, StoredStream>();
  #created = 0;

  /** Keeps its logs in `root`. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Answers a request of either half. */
  async handle(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    try {
      if (request.method === "PUT") return await this.#create(pathname, request);
      if (request.method === "POST") return await this.#append(pathname, request);
      if (request.method === "DELETE") return this.#delete(pathname);
    } catch (error) {
      if (error instanceof Refusal) return new Response(error.message, { status: error.status });
      throw error;
    }
    return await this.#read(pathname, request);
  }

  [Symbol.dispose](): void {
    for (const { writer } of this.#streams.values()) writer.close();
  }

  /** By the product alone. */
  async #read(path: string, request: Request): Promise<Response> {
    const stream = this.#streams.get(path);
    const open = async (fromCursor: string | undefined) => {
      if (stream === undefined) throw new SandboxNotFoundError(path);
      const isTerminal = () => Promise.resolve(stream.isClosed);
      return await openLogStream({ ...stream, isTerminal }, { follow: true, fromCursor });
    };
    return await logResponse(request, open, {
      defaultFormat: "durable",
      contentType: stream?.contentType,
      toMessage: (entry: LogEntry) => JSON.parse(entry.text()),
    });
  }

  async #create(path: string, request: Request): Promise<Response> {
    const contentType = request.headers.get("content-type") ?? "application/octet-stream";
    const before = this.#streams.get(path);
    if (before !== undefined) {
      const isSame = mediaType(before.contentType) === mediaType(contentType);
      return await this.#told(path, isSame && before.isClosed === asksToClose(request) ? 200 : 409);
    }
    const messages = await messagesOf(request, contentType, true);
    const sandboxId = `stream-${this.#created++}`;
    const directory = join(this.#root, sandboxId);
    const writer = openExecLogWriter({ directory, sandboxId });
    const stream = { directory, sandboxId, contentType, writer, isClosed: false };
    this.#streams.set(path, stream);
    write(stream, messages);
    if (asksToClose(request)) close(stream);
    return await this.#told(path, 201, { location: request.url, "content-type": contentType });
  }

  async #append(path: string, request: Request): Promise<Response> {
    const stream = this.#streams.get(path);
    if (stream === undefined) throw new Refusal(404, "there is no such stream");
    const body = request.clone();
    const isEmpty = (await body.arrayBuffer()).byteLength === 0;
    if (isEmpty && !asksToClose(request)) throw new Refusal(400, "there is nothing to append");
    if (stream.isClosed) return await this.#told(path, isEmpty ? 204 : 409);
    if (!isEmpty) {
      const contentType = request.headers.get("content-type");
      if (contentType === null) throw new Refusal(400, "a content type is needed");
      if (mediaType(contentType) !== mediaType(stream.contentType))
        throw new Refusal(409, "the stream is of another content type");
      write(stream, await messagesOf(request, contentType, false));
    }
    if (asksToClose(request)) close(stream);
    return await this.#told(path, 204);
  }

  #delete(path: string): Response {
    const stream = this.#streams.get(path);
    if (stream === undefined) throw new Refusal(404, "there is no such stream");
    this.#streams.delete(path);
    stream.writer.close();
    rmSync(stream.directory, { recursive: true });
    return new Response(null, { status: 204 });
  }

  /** How the stream stands, as a reader would be told. */
  async #told(path: string, status: number, headers: Record<string, string> = {}): Promise<Response> {
    const { headers: told } = await this.#read(
      path,
      new Request(`http://localhost${path}`, { method: "HEAD" }),
    );
    for (const name of ["stream-next-offset", "stream-closed"]) {
      const value = told.get(name);
      if (value !== null) headers[name] = value;
    }
    return new Response(null, { status, headers });
  }
}

function asksToClose(request: Request): boolean {
  return request.headers.get("stream-closed")?.toLowerCase() === "true";
}

function mediaType(contentType: string): string {
  return contentType.split(";", 1)[0]!.trim().toLowerCase();
}

/** What the body consists of: of JSON the elements of an array, or the value; of anything else all of it. */
async function messagesOf(request: Request, contentType: string, mayBeEmpty: boolean): Promise<Uint8Array[]> {
  const body = new Uint8Array(await request.arrayBuffer());
  if (body.length === 0) return [];
  if (mediaType(contentType) !== JSON_TYPE) return [body];
  const value = parseJson(new TextDecoder().decode(body));
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0 && !mayBeEmpty) throw new Refusal(400, "there is nothing to append");
  return values.map((message) => new TextEncoder().encode(JSON.stringify(message)));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "this is not JSON");
  }
}

function write({ writer }: StoredStream, messages: readonly Uint8Array[]): void {
  for (const message of messages) writer.append("stdout", SESSION_ID, message);
  writer.endOfStream("stdout", SESSION_ID); // half a character waits for the rest of it otherwise
}

/** As at the end of a sandbox. */
function close(stream: StoredStream): void {
  stream.writer.system(SANDBOX_STOPPED_TEXT);
  stream.isClosed = true;
}
