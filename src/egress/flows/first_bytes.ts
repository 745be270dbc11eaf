/**
 * Reads the name that a client shows in its first bytes, where it speaks TLS or HTTP.
 *
 * @module
 */
import { speechOf } from "../http/first_line.ts";
import { HEAD_BYTES_MAX, parseRequestHead } from "../http/parse_head.ts";
import { requestTarget } from "../http/request_target.ts";
import { ClientHelloReader } from "../tls/client_hello.ts";
import { parseHostName } from "../tls/host_name.ts";

/** What the bytes so far come to. */
export type FirstBytes =
  | {
      readonly kind: "incomplete";
      /** Whether it can still be neither TLS nor HTTP. Then it has no complete name either. */
      readonly canBeOther: boolean;
    }
  /** A name in TLS or HTTP; `undefined` if it shows none. */
  | { readonly kind: "named"; readonly name: string | undefined }
  /** It looks like TLS or HTTP, but two parsers could read it differently. */
  | { readonly kind: "invalid"; readonly problem: string }
  /** Another protocol. */
  | { readonly kind: "other" };

/**
 * Takes a client's first bytes until it is known what they are. There is no time limit: a guest could hide a name behind a
 * pause.
 */
export class FirstBytesReader {
  readonly #hello = new ClientHelloReader();

  /** Everything that was pushed. */
  get bytes(): Uint8Array {
    return this.#hello.bytes;
  }

  push(chunk: Uint8Array): FirstBytes {
    const state = this.#hello.push(chunk);
    switch (state.kind) {
      case "incomplete":
        return { kind: "incomplete", canBeOther: false };
      case "hello":
        return { kind: "named", name: state.hello.serverName };
      case "invalid":
        return state;
      case "notTls":
        return readOldHello(this.bytes) ?? readHttp(this.bytes);
    }
  }
}

/** A ClientHello in the form of SSL 2 (RFC 5246 E.2), which OpenSSL's servers still take: a length, type 1, version 3.x. */
function readOldHello([length = 0, , type, major]: Uint8Array): FirstBytes | undefined {
  if ((length & 0x80) === 0 || type !== 1) return undefined;
  if (major === undefined) return { kind: "incomplete", canBeOther: true };
  return major === 3 ? { kind: "invalid", problem: "a hello of SSL 2, which shows no name" } : undefined;
}

function readHttp(bytes: Uint8Array): FirstBytes {
  const speech = speechOf(bytes);
  if (speech === "other") return { kind: "other" };
  if (speech === undefined) return { kind: "incomplete", canBeOther: true };
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, Math.min(length, HEAD_BYTES_MAX)).toString("latin1");
  const start = text.length - text.trimStart().length;
  const end = /\r?\n\r?\n/.exec(text.slice(start));
  if (end !== null) return readHead(bytes.subarray(start, start + end.index + end[0].length));
  return length >= HEAD_BYTES_MAX
    ? { kind: "invalid", problem: "the head of the request is too long" }
    : { kind: "incomplete", canBeOther: false };
}

function readHead(head: Uint8Array): FirstBytes {
  try {
    return { kind: "named", name: parseHostName(requestTarget(parseRequestHead(head), "http").host) };
  } catch (error) {
    return { kind: "invalid", problem: error instanceof Error ? error.message : "the request is malformed" };
  }
}
