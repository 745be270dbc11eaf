/**
 * Reads the first message of a TLS client before any TLS library sees it: the name that it asks for decides whether the flow
 * may pass, whether it is read, and with which certificate.
 *
 * Formats: RFC 8446 sections 4.1.2 and 5.1 (records, ClientHello), RFC 6066 section 3 (server_name), RFC 7301 (ALPN),
 * RFC 9849 (encrypted ClientHello).
 *
 * @module
 */
import { KiB } from "../../base/bytes.ts";
import { parseHostName } from "./host_name.ts";

/** What a client may send before its hello is whole, record headers included. The largest in use have 4 KiB. */
export const CLIENT_HELLO_BYTES_MAX: number = 32 * KiB;

const RECORD_HEADER_BYTES = 5;
/** RFC 8446 section 5.1: a plaintext record has at most 2^14 bytes. */
const RECORD_BYTES_MAX = 2 ** 14;
const HANDSHAKE_HEADER_BYTES = 4;
const RECORD_HANDSHAKE = 0x16;
const MAJOR_VERSION = 0x03;
const HANDSHAKE_CLIENT_HELLO = 1;

const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const EXTENSION_ENCRYPTED_CLIENT_HELLO = 0xfe0d;
const NAME_TYPE_HOST = 0;

/** What a client shows before anything is agreed. */
export interface ClientHello {
  /** The host that the client wants, in lower case without a dot at the end; `undefined` if it names none. */
  readonly serverName: string | undefined;
  /** The protocols that it offers by ALPN, its first choice first; empty if it offers none. */
  readonly alpnProtocols: readonly string[];
  /** Whether it carries an encrypted hello, real or not: then {@linkcode serverName} may be a cover. */
  readonly hasEncryptedHello: boolean;
}

/** How far the reading has come. */
export type ClientHelloState =
  | { readonly kind: "incomplete" }
  | { readonly kind: "hello"; readonly hello: ClientHello }
  /** The client speaks something else. */
  | { readonly kind: "notTls" }
  /** It looks like TLS, but is invalid. */
  | { readonly kind: "invalid"; readonly problem: string };

/** Why bytes are not a ClientHello. */
class HelloError extends Error {}

/**
 * Takes a client's first bytes as they arrive, in whatever pieces, until it is known what they are.
 *
 * @example
 * ```text
 * const reader = new ClientHelloReader();
 * let state = reader.state;
 * for await (const chunk of chunks) {
 *   state = reader.push(chunk);
 *   if (state.kind !== "incomplete") break;
 * }
 * ```
 */
export class ClientHelloReader {
  #state: ClientHelloState = { kind: "incomplete" };
  #buffer = new Uint8Array(2 * KiB);
  #buffered = 0;
  /** Where the next record begins. */
  #recordStart = 0;
  /** The handshake messages without the record headers. */
  #message = new Uint8Array(2 * KiB);
  #messageBytes = 0;

  /** What the bytes so far come to. */
  get state(): ClientHelloState {
    return this.#state;
  }

  /** Everything that was pushed, for the next reader. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#buffered);
  }

  /** Takes more bytes. Those that follow a decision are kept, too. */
  push(chunk: Uint8Array): ClientHelloState {
    this.#buffer = appended(this.#buffer, this.#buffered, chunk);
    this.#buffered += chunk.length;
    if (this.#state.kind === "incomplete") {
      try {
        this.#state = this.#advance();
      } catch (error) {
        if (!(error instanceof HelloError)) throw error;
        this.#state = { kind: "invalid", problem: error.message };
      }
    }
    return this.#state;
  }

  #advance(): ClientHelloState {
    const bytes = this.bytes;
    if (bytes.length > 0 && bytes[0] !== RECORD_HANDSHAKE) return { kind: "notTls" };
    if (bytes.length > 1 && bytes[1] !== MAJOR_VERSION) return { kind: "notTls" };
    for (;;) {
      const start = this.#recordStart;
      if (bytes.length < start + RECORD_HEADER_BYTES) break;
      const length = (bytes[start + 3]! << 8) | bytes[start + 4]!;
      if (bytes[start] !== RECORD_HANDSHAKE || bytes[start + 1] !== MAJOR_VERSION)
        throw new HelloError("another record stands inside the ClientHello");
      if (length === 0 || length > RECORD_BYTES_MAX)
        throw new HelloError(`a record of ${length} bytes: must be 1 to ${RECORD_BYTES_MAX}`);
      const end = start + RECORD_HEADER_BYTES + length;
      if (end > CLIENT_HELLO_BYTES_MAX) throw tooLarge();
      if (bytes.length < end) break;
      const part = bytes.subarray(start + RECORD_HEADER_BYTES, end);
      this.#message = appended(this.#message, this.#messageBytes, part);
      this.#messageBytes += part.length;
      this.#recordStart = end;
      const hello = this.#parseMessage();
      if (hello !== undefined) return { kind: "hello", hello };
    }
    return { kind: "incomplete" };
  }

  /** The hello, if its last record has arrived. */
  #parseMessage(): ClientHello | undefined {
    const message = this.#message.subarray(0, this.#messageBytes);
    if (message[0] !== HANDSHAKE_CLIENT_HELLO) throw new HelloError("the first message is not a ClientHello");
    if (message.length < HANDSHAKE_HEADER_BYTES) return undefined;
    const length = (message[1]! << 16) | (message[2]! << 8) | message[3]!;
    if (length > CLIENT_HELLO_BYTES_MAX) throw tooLarge();
    const end = HANDSHAKE_HEADER_BYTES + length;
    if (message.length < end) return undefined;
    // A client may not send more before it has an answer.
    if (message.length > end) throw new HelloError("another message follows in the same record");
    return parseClientHello(message.subarray(HANDSHAKE_HEADER_BYTES, end));
  }
}

/** Parses the body of the message: what follows its type and length. */
function parseClientHello(body: Uint8Array): ClientHello {
  const fields = new Fields(body);
  fields.skip(2 + 32); // legacy_version, random
  fields.vector(1, 0, 32); // legacy_session_id
  const suites = fields.vector(2, 2, 2 ** 16 - 2);
  if (suites.length % 2 !== 0) throw new HelloError("half a cipher suite");
  fields.vector(1, 1, 255); // legacy_compression_methods
  if (fields.isAtEnd) return { serverName: undefined, alpnProtocols: [], hasEncryptedHello: false };
  const extensions = new Fields(fields.vector(2, 0, 2 ** 16 - 1));
  fields.expectEnd();
  const seen = new Set<number>();
  let serverName: string | undefined;
  let alpnProtocols: readonly string[] = [];
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = extensions.vector(2, 0, 2 ** 16 - 1);
    if (seen.has(type)) throw new HelloError(`extension ${type} appears twice`);
    seen.add(type);
    if (type === EXTENSION_SERVER_NAME) serverName = parseServerName(content);
    if (type === EXTENSION_ALPN) alpnProtocols = parseAlpn(content);
  }
  return { serverName, alpnProtocols, hasEncryptedHello: seen.has(EXTENSION_ENCRYPTED_CLIENT_HELLO) };
}

function parseServerName(content: Uint8Array): string {
  const outer = new Fields(content);
  const list = new Fields(outer.vector(2, 1, 2 ** 16 - 1));
  outer.expectEnd();
  const type = list.number(1);
  if (type !== NAME_TYPE_HOST) throw new HelloError(`a server name of the unknown type ${type}`);
  const text = latin1(list.vector(2, 1, 2 ** 16 - 1));
  list.expectEnd(); // two names could be understood in two ways
  const name = parseHostName(text);
  if (name === undefined) throw new HelloError("the server name is not a host name");
  return name;
}

function parseAlpn(content: Uint8Array): string[] {
  const outer = new Fields(content);
  const list = new Fields(outer.vector(2, 2, 2 ** 16 - 1));
  outer.expectEnd();
  const protocols: string[] = [];
  while (!list.isAtEnd) protocols.push(latin1(list.vector(1, 1, 255)));
  return protocols;
}

/** Reads numbers and vectors one after the other, never past the end. */
class Fields {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  skip(size: number): void {
    this.#take(size);
  }

  number(size: number): number {
    return this.#take(size).reduce((value, byte) => value * 256 + byte, 0);
  }

  /** Bytes behind their length, which has `lengthSize` bytes itself. */
  vector(lengthSize: number, least: number, most: number): Uint8Array {
    const length = this.number(lengthSize);
    if (length < least || length > most)
      throw new HelloError(`a field of ${length} bytes: must be ${least} to ${most}`);
    return this.#take(length);
  }

  expectEnd(): void {
    if (!this.isAtEnd) throw new HelloError("bytes are left over");
  }

  #take(size: number): Uint8Array {
    if (this.#offset + size > this.#bytes.length) throw new HelloError("a field reaches past the end");
    const taken = this.#bytes.subarray(this.#offset, this.#offset + size);
    this.#offset += size;
    return taken;
  }
}

function tooLarge(): HelloError {
  return new HelloError(`the ClientHello is larger than ${CLIENT_HELLO_BYTES_MAX} bytes`);
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** `buffer` with `chunk` at `used`: the same one if it is large enough, else one of at least twice the size. */
function appended(buffer: Uint8Array<ArrayBuffer>, used: number, chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const needed = used + chunk.length;
  if (needed > buffer.length) {
    const larger = new Uint8Array(Math.max(needed, buffer.length * 2));
    larger.set(buffer.subarray(0, used));
    buffer = larger;
  }
  buffer.set(chunk, used);
  return buffer;
}
