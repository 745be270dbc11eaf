/** The heads of requests and responses, parsed. Texts hold a byte in each character, as they came. @module */

/** A header field, with its name as it was written. */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
}

/** Where a body ends: RFC 9112 section 6. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** Responses only: it ends with the connection. */
  | { readonly kind: "untilClose" };

export type HttpVersion = "1.0" | "1.1";

/** The first line and the fields of a request. */
export interface RequestHead {
  readonly method: string;
  /** As it was written: origin, absolute, or asterisk form. */
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: readonly HeaderField[];
  readonly framing: Framing;
}

/** The first line and the fields of a response. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly version: HttpVersion;
  readonly headers: readonly HeaderField[];
  readonly framing: Framing;
}

/** Names are compared without regard to case, which is ASCII's alone. */
export function isNamed(field: HeaderField, name: string): boolean {
  return field.name.length === name.length && field.name.toLowerCase() === name;
}

/** The values of all fields of a name, which is in lower case. */
export function valuesOf(headers: readonly HeaderField[], name: string): string[] {
  return headers.filter((field) => isNamed(field, name)).map(({ value }) => value);
}

/** The members of a list that may stand in several fields, in lower case. */
export function listOf(headers: readonly HeaderField[], name: string): string[] {
  return valuesOf(headers, name).flatMap((value) =>
    value
      .split(",")
      .map((member) => member.trim().toLowerCase())
      .filter((member) => member !== ""),
  );
}

/** Fields that are for one connection and not for the next (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/** The fields that are passed on: all but those for this connection alone, and those that are written again. */
export function endToEnd(headers: readonly HeaderField[], without: readonly string[] = []): HeaderField[] {
  const dropped = new Set([...HOP_BY_HOP, ...listOf(headers, "connection"), ...without]);
  return headers.filter(({ name }) => !dropped.has(name.toLowerCase()));
}

/** Whether the connection may carry another message, as far as its writer is concerned. */
export function wantsKeepAlive(version: HttpVersion, headers: readonly HeaderField[]): boolean {
  const options = listOf(headers, "connection");
  return version === "1.1" ? !options.includes("close") : options.includes("keep-alive");
}

/** The bytes of a head. @param firstLine Request line or status line. */
export function encodeHead(firstLine: string, headers: readonly HeaderField[]): Uint8Array {
  const lines = headers.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
  return Buffer.from(`${firstLine}\r\n${lines}\r\n`, "latin1");
}

/** The fields that say where a body ends. */
export function framingFields(framing: Framing): HeaderField[] {
  if (framing.kind === "length") return [{ name: "Content-Length", value: String(framing.bytes) }];
  return framing.kind === "chunked" ? [{ name: "Transfer-Encoding", value: "chunked" }] : [];
}
