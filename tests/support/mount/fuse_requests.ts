/**
 * Requests as a guest's kernel, or a hostile agent, would send them, and the replies to them.
 *
 * @module
 */
import { IN_HEADER_BYTES, Opcode } from "../../../src/mount/fuse/constants.ts";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { MountServer, type MountServerOptions } from "../../../src/mount/server.ts";

/** A reply. */
export interface FuseReply {
  /** An error number, 0 for none. */
  readonly errno: number;
  readonly body: DataView;
}

const encoder = new TextEncoder();

/** A field of a request's body. */
export type Field = number | bigint | string | Uint8Array;

/** The bytes of a body: numbers are u32, bigints u64, texts end with a zero. */
export function bodyOf(...fields: readonly Field[]): Uint8Array {
  const parts = fields.map((field) => {
    if (field instanceof Uint8Array) return field;
    if (typeof field === "string") return encoder.encode(`${field}\0`);
    const bytes = new Uint8Array(typeof field === "bigint" ? 8 : 4);
    if (typeof field === "bigint")
      new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, field), true);
    else new DataView(bytes.buffer).setUint32(0, field, true);
    return bytes;
  });
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The bytes of a request. */
export function requestOf(
  opcode: number,
  unique: bigint,
  node: bigint,
  body: Uint8Array,
  pid = 0,
): Uint8Array {
  const bytes = new Uint8Array(IN_HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, opcode, true);
  view.setBigUint64(8, unique, true);
  view.setBigUint64(16, node, true);
  view.setUint32(32, pid, true);
  bytes.set(body, IN_HEADER_BYTES);
  return bytes;
}

/** A server, asked by hand. */
export class FuseClient {
  readonly server: MountServer;
  readonly replies = new Map<bigint, FuseReply>();
  /** Replies of all kinds, also to what was not asked. */
  replyCount = 0;
  /** The process that asks. */
  pid = 0;
  #nextUnique = 1n;
  readonly #waiting = new Map<bigint, (reply: FuseReply) => void>();

  constructor(provider: FileSystemProvider, options: MountServerOptions = {}) {
    this.server = new MountServer(provider, options, (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const unique = view.getBigUint64(8, true);
      const reply = {
        errno: Math.abs(view.getInt32(4, true)),
        body: new DataView(bytes.buffer, bytes.byteOffset + 16),
      };
      this.replyCount++;
      this.replies.set(unique, reply);
      this.#waiting.get(unique)?.(reply);
      this.#waiting.delete(unique);
    });
  }

  /** Sends a request; gives its number. */
  send(opcode: number, node: bigint, ...fields: readonly Field[]): bigint {
    const unique = this.#nextUnique++;
    this.server.feed(requestOf(opcode, unique, node, bodyOf(...fields), this.pid));
    return unique;
  }

  /** Sends a request and waits for its reply. */
  async ask(opcode: number, node: bigint, ...fields: readonly Field[]): Promise<FuseReply> {
    const unique = this.send(opcode, node, ...fields);
    const reply = this.replies.get(unique);
    return reply ?? (await new Promise((resolve) => this.#waiting.set(unique, resolve)));
  }

  /** The error number of a request. */
  async errno(opcode: number, node: bigint, ...fields: readonly Field[]): Promise<number> {
    return (await this.ask(opcode, node, ...fields)).errno;
  }

  /** The number of an entry's node. */
  async lookup(node: bigint, name: string): Promise<bigint> {
    const { errno, body } = await this.ask(Opcode.lookup, node, name);
    if (errno !== 0) throw new Error(`lookup of ${name}: errno ${errno}`);
    return body.getBigUint64(0, true);
  }

  /** The handle of an open file. */
  async open(node: bigint, flags: number): Promise<bigint> {
    const { errno, body } = await this.ask(Opcode.open, node, flags, 0);
    if (errno !== 0) throw new Error(`open: errno ${errno}`);
    return body.getBigUint64(0, true);
  }
}
