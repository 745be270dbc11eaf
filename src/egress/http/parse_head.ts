/**
 * Parses the heads of HTTP/1.1 messages (RFC 9112), and refuses everything that two programs could understand in two ways.
 *
 * The proxy inserts secrets by its own reading of a request, and the server acts by another reading. So messages are always
 * written again from what was parsed here; the original bytes are never passed on.
 *
 * @module
 */
import { KiB } from "../../base/bytes.ts";
import {
  type Framing,
  type HeaderField,
  type HttpVersion,
  listOf,
  type RequestHead,
  type ResponseHead,
  valuesOf,
} from "./message.ts";
import { type HttpProblem, malformed, upstreamProblem } from "./problem.ts";

/** A head with its empty line at the end. Servers allow 8 to 64 KiB. */
export const HEAD_BYTES_MAX: number = 64 * KiB;
/** Fields in a head, or in the trailer section behind a body. */
export const HEADER_FIELDS_MAX = 200;
/** RFC 9112 section 3 asks for at least 8000 bytes. */
const TARGET_BYTES_MAX = 32 * KiB;
const METHOD_CHARS_MAX = 32;

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** No control character but the tab. Bytes above 0x7f are left as they are. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** No space, control character or fragment. Bytes above 0x7f are common, though no URL has them. */
const TARGET = /^[\x21\x22\x24-\x7e\x80-\xff]+$/;

/** Makes the problem of a message that breaks a rule. */
type Refuse = (reason: string, status?: number) => HttpProblem;

/** Parses a request's head, from its first byte to its empty line. @throws {HttpProblem} */
export function parseRequestHead(bytes: Uint8Array): RequestHead {
  const [line = "", ...rest] = linesOf(bytes, malformed);
  const parts = line.split(" ");
  const [method = "", target = "", protocol = ""] = parts;
  if (parts.length !== 3) throw malformed("the request line must be a method, a target and a version");
  if (method.length > METHOD_CHARS_MAX || !TOKEN.test(method)) throw malformed("the method is not a token");
  if (target.length > TARGET_BYTES_MAX) throw malformed("the request target is too long", 414);
  if (!TARGET.test(target)) throw malformed("the request target holds a space or a fragment");
  const version = parseVersion(protocol, malformed);
  const headers = parseFields(rest, malformed);
  if (valuesOf(headers, "host").length !== 1) throw malformed("a request must have one Host field");
  return { method, target, version, headers, framing: requestFraming(version, headers) };
}

/** Parses a response's head. @param method The request's method, which decides whether there is a body. @throws {HttpProblem} */
export function parseResponseHead(bytes: Uint8Array, method: string): ResponseHead {
  const [line = "", ...rest] = linesOf(bytes, upstreamProblem);
  const [, protocol = "", digits, reason = ""] = /^(\S+) ([1-5]\d\d)(?: (.*))?$/.exec(line) ?? [];
  if (digits === undefined) throw upstreamProblem("the server's status line is not HTTP/1.1");
  if (!FIELD_VALUE.test(reason))
    throw upstreamProblem("the server's reason phrase holds a control character");
  const version = parseVersion(protocol, upstreamProblem);
  const headers = parseFields(rest, upstreamProblem);
  const status = Number(digits);
  return { status, reason, version, headers, framing: responseFraming(method, status, version, headers) };
}

/** Parses the fields behind a chunked body: lines without their ends. @throws {HttpProblem} */
export function parseTrailers(bytes: Uint8Array, refuse: Refuse): HeaderField[] {
  return parseFields(linesOf(bytes, refuse), refuse);
}

/** The lines before the empty one. That every line feed follows a carriage return was seen by the reader. */
function linesOf(bytes: Uint8Array, refuse: Refuse): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const lines = text.split("\r\n");
  // The empty line and what follows its end.
  if (lines.pop() !== "" || lines.pop() !== "") throw refuse("the head has no end");
  return lines;
}

function parseVersion(protocol: string, refuse: Refuse): HttpVersion {
  if (protocol === "HTTP/1.1") return "1.1";
  if (protocol === "HTTP/1.0") return "1.0";
  throw refuse("the version is neither HTTP/1.1 nor HTTP/1.0", 505);
}

function parseFields(lines: readonly string[], refuse: Refuse): HeaderField[] {
  if (lines.length > HEADER_FIELDS_MAX) throw refuse(`more than ${HEADER_FIELDS_MAX} header fields`, 431);
  return lines.map((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    // A space before the colon, or at the start of the line, is how fields are smuggled past a lenient reader.
    if (!TOKEN.test(name)) throw refuse("a header field's name is not a token");
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    if (!FIELD_VALUE.test(value)) throw refuse("a header field's value holds a control character");
    return { name, value };
  });
}

function requestFraming(version: HttpVersion, headers: readonly HeaderField[]): Framing {
  const codings = valuesOf(headers, "transfer-encoding");
  const lengths = valuesOf(headers, "content-length");
  if (codings.length > 0 && lengths.length > 0)
    throw malformed("Transfer-Encoding and Content-Length exclude each other");
  if (lengths.length > 1) throw malformed("Content-Length appears twice");
  if (codings.length > 0) return chunkedFraming(version, codings, malformed);
  const [length] = lengths;
  return length === undefined ? { kind: "none" } : lengthFraming(length, malformed);
}

function responseFraming(
  method: string,
  status: number,
  version: HttpVersion,
  headers: readonly HeaderField[],
): Framing {
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return { kind: "none" };
  const codings = valuesOf(headers, "transfer-encoding");
  const lengths = listOf(headers, "content-length");
  if (codings.length > 0 && lengths.length > 0)
    throw upstreamProblem("the server sent both Transfer-Encoding and Content-Length");
  // Servers that say the same length twice are common, and harmless.
  if (new Set(lengths).size > 1) throw upstreamProblem("the server sent two lengths");
  if (codings.length > 0) return chunkedFraming(version, codings, upstreamProblem);
  const [length] = lengths;
  return length === undefined ? { kind: "untilClose" } : lengthFraming(length, upstreamProblem);
}

function chunkedFraming(version: HttpVersion, codings: readonly string[], refuse: Refuse): Framing {
  if (version === "1.0") throw refuse("HTTP/1.0 has no Transfer-Encoding");
  if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked")
    throw refuse("the only known Transfer-Encoding is chunked", 501);
  return { kind: "chunked" };
}

function lengthFraming(length: string, refuse: Refuse): Framing {
  // 15 digits are exact numbers.
  if (!/^\d{1,15}$/.test(length)) throw refuse("Content-Length is not a number of bytes");
  return { kind: "length", bytes: Number(length) };
}
