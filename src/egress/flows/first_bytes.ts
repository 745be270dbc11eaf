/**
 * Reads the name that a client shows in its first bytes, where it speaks TLS or HTTP.
 *
 * @module
 */
import { KiB } from "../../base/bytes.ts";
import { HEAD_BYTES_MAX, parseRequestHead } from "../http/parse_head.ts";
import { requestTarget } from "../http/request_target.ts";
import { ClientHelloReader } from "../tls/client_hello.ts";
import { parseHostName } from "../tls/host_name.ts";

/** A first line that is longer, and has no version of HTTP in it, belongs to another protocol. */
const FIRST_LINE_BYTES_MAX = 8 * KiB;

/** What the bytes so far come to. */
export type FirstBytes =
  | {
      readonly kind: "incomplete";
      /** Whether it can still be a protocol that is neither. Then no name is complete in it either. */
      readonly canBeOther: boolean;
    }
  /** A name in TLS or HTTP; `undefined` if it shows none. */
  | { readonly kind: "named"; readonly name: string | undefined }
  /** It looks like TLS or HTTP, but is none that two readers would take for the same. */
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
        return readHttp(this.bytes);
    }
  }
}

function readHttp(bytes: Uint8Array): FirstBytes {
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, Math.min(length, HEAD_BYTES_MAX)).toString("latin1");
  const [, line = ""] = /^[\r\n \t]*([^\r\n]*)/.exec(text.slice(0, FIRST_LINE_BYTES_MAX)) ?? [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no request line holds one
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(line)) return { kind: "other" };
  const lineIsComplete = text.trimStart().includes("\n") || length >= FIRST_LINE_BYTES_MAX;
  if (!/HTTP\//i.test(line))
    return lineIsComplete ? { kind: "other" } : { kind: "incomplete", canBeOther: true };
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
