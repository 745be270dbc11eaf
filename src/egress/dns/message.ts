/**
 * DNS messages (RFC 1035 section 4, RFC 6891): what a guest asks, and what it is answered. The package `dns-packet` reads and
 * writes them; here is checked what it lets through.
 *
 * @module
 */
import { createRequire } from "node:module";
import type { Answer, Packet } from "dns-packet";
import type { Bytes } from "../../base/bytes.ts";
import { parseHostName } from "../tls/host_name.ts";

/**
 * Deno runs the VM host process without a configuration file. An `import` then finds no package by its name, but Node's own
 * resolution does.
 */
const { decode, encode }: typeof import("dns-packet") = createRequire(import.meta.url)("dns-packet");

/** Real queries are far smaller; this bounds what a guest can make us read. */
export const QUERY_BYTES_MAX = 4096;
/** What fits into one packet on every path (DNS flag day 2020), and what a client accepts that states no size (RFC 1035 4.2.1). */
export const UDP_PAYLOAD_BYTES = 1232;
const UDP_PAYLOAD_BYTES_MIN = 512;
const HEADER_BYTES = 12;

/** Response codes (RFC 1035 4.1.1). */
export const Rcode = {
  ok: 0,
  malformed: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
  refused: 5,
} as const;
export type RcodeValue = (typeof Rcode)[keyof typeof Rcode];

/** Flags of a message's header. */
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const FLAG_TRUNCATED = 0x0200;
const OPCODE_MASK = 0x7800;

/** What a guest asks for. */
export interface Query {
  readonly id: number;
  /** As the guest wrote it: some compare it letter by letter. */
  readonly name: string;
  /** Lower case, without a final dot; `undefined` if it is not the name of a host. */
  readonly host: string | undefined;
  /** As `dns-packet` calls it: `"A"`, `"UNKNOWN_65"`. */
  readonly type: string;
  readonly recursionDesired: boolean;
  /** How long an answer over UDP may be. */
  readonly payloadBytes: number;
  readonly hasEdns: boolean;
}

/** A query, or the error reply to an invalid one; `undefined` for a message that gets no reply. */
export type ParsedQuery =
  | { readonly query: Query; readonly reply?: undefined }
  | { readonly query?: undefined; readonly reply: Bytes };

/** Reads a guest's message. Never throws. */
export function parseQuery(bytes: Uint8Array): ParsedQuery | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > QUERY_BYTES_MAX) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [id, flags] = [view.getUint16(0), view.getUint16(2)];
  if ((flags & 0x8000) !== 0) return undefined; // an answer, though nothing was asked
  if ((flags & OPCODE_MASK) !== 0) return { reply: bareReply(id, flags, Rcode.notImplemented) };
  if (view.getUint16(4) !== 1) return { reply: bareReply(id, flags, Rcode.malformed) };
  const packet = decodeMessage(bytes);
  const [question] = packet?.questions ?? [];
  if (packet === undefined || question === undefined) return { reply: bareReply(id, flags, Rcode.malformed) };
  if (question.class !== "IN" || !isPlainName(question.name))
    return { reply: bareReply(id, flags, Rcode.refused) };
  const edns = packet.additionals?.find((record) => record.type === "OPT");
  const announced = edns !== undefined && "udpPayloadSize" in edns ? edns.udpPayloadSize : 0;
  const payloadBytes = Math.min(Math.max(announced, UDP_PAYLOAD_BYTES_MIN), UDP_PAYLOAD_BYTES);
  return {
    query: {
      id,
      name: question.name,
      host: parseHostName(question.name),
      type: question.type,
      recursionDesired: (flags & FLAG_RECURSION_DESIRED) !== 0,
      payloadBytes,
      hasEdns: edns !== undefined,
    },
  };
}

/** The answer to a query. If it is longer than `bytesMax`, it has no records and is marked as truncated. */
export function encodeReply(
  query: Query,
  rcode: RcodeValue,
  answers: readonly Answer[] = [],
  authorities: readonly Answer[] = [],
  bytesMax: number = query.payloadBytes,
): Bytes {
  const flags = FLAG_RECURSION_AVAILABLE | (query.recursionDesired ? FLAG_RECURSION_DESIRED : 0) | rcode;
  const packet = (more: number, records: readonly Answer[], more2: readonly Answer[]): Bytes =>
    encodeMessage({
      type: "response",
      id: query.id,
      flags: flags | more,
      questions: [questionOf(query.name, query.type)],
      answers: [...records],
      authorities: [...more2],
      additionals: query.hasEdns ? [edns()] : [],
    });
  const whole = packet(0, answers, authorities);
  return whole.length <= bytesMax ? whole : packet(FLAG_TRUNCATED, [], []);
}

/** A query of ours to a resolver. */
export function encodeQuery(id: number, name: string, type: string, hasEdns: boolean): Bytes {
  return encodeMessage({
    type: "query",
    id,
    flags: FLAG_RECURSION_DESIRED,
    questions: [questionOf(name, type)],
    additionals: hasEdns ? [edns()] : [],
  });
}

/** A resolver's answer to our query; `undefined` if the message does not belong to it. Never throws. */
export function parseReply(bytes: Uint8Array, id: number, name: string, type: string): Reply | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const flags = (bytes[2]! << 8) | bytes[3]!;
  const packet = decodeMessage(bytes);
  const [question, ...others] = packet?.questions ?? [];
  if (packet === undefined || packet.id !== id || packet.type !== "response" || others.length > 0)
    return undefined;
  if (question?.type !== type || question.name.toLowerCase() !== name) return undefined;
  return {
    rcode: flags & 15,
    isTruncated: (flags & FLAG_TRUNCATED) !== 0,
    answers: (packet.answers ?? []).filter(isSound),
    authorities: (packet.authorities ?? []).filter(isSound),
  };
}

/** A resolver's answer. */
export interface Reply {
  readonly rcode: number;
  readonly isTruncated: boolean;
  /** The records whose names can be encoded again. */
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
}

/** Names are compared without regard to case or a final dot. */
export function nameKey(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}

function questionOf(name: string, type: string): { name: string; type: "A"; class: "IN" } {
  // The package takes every type that it has a number for, `UNKNOWN_65` among them; its declarations list a part of them.
  return { name, type: type as "A", class: "IN" };
}

function edns(): Answer & { type: "OPT" } {
  return {
    name: ".",
    type: "OPT",
    udpPayloadSize: UDP_PAYLOAD_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  };
}

function bareReply(id: number, flags: number, rcode: RcodeValue): Bytes {
  const reply = new Uint8Array(HEADER_BYTES);
  const view = new DataView(reply.buffer);
  view.setUint16(0, id);
  view.setUint16(
    2,
    0x8000 | (flags & (OPCODE_MASK | FLAG_RECURSION_DESIRED)) | FLAG_RECURSION_AVAILABLE | rcode,
  );
  return reply;
}

function decodeMessage(bytes: Uint8Array): Packet | undefined {
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch {
    return undefined; // it is malformed; how does not matter
  }
}

function encodeMessage(packet: Packet): Bytes {
  return Uint8Array.from(encode(packet));
}

/**
 * Whether all names of a record can be written as they were read: the package joins labels by dots, and reads them as UTF-8, so
 * that others would become longer or have more labels.
 */
function isSound(record: Answer): boolean {
  if (!isPlainName(record.name)) return false;
  switch (record.type) {
    case "CNAME":
    case "NS":
    case "PTR":
    case "DNAME":
      return isPlainName(record.data);
    case "MX":
      return isPlainName(record.data.exchange);
    case "SRV":
      return isPlainName(record.data.target);
    case "SOA":
      return isPlainName(record.data.mname) && isPlainName(record.data.rname);
    default:
      return true;
  }
}

function isPlainName(name: unknown): boolean {
  if (typeof name !== "string" || name.length > 254 || !/^[\x21-\x7e]+$/.test(name)) return false;
  if (name === ".") return true;
  return name
    .replace(/\.$/, "")
    .split(".")
    .every((label) => label.length > 0 && label.length <= 63);
}
