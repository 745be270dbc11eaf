/**
 * A DNS server on loopback, over UDP and TCP, and a client that asks through a guest's link.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { type Answer, decode, encode, type Packet } from "dns-packet";
import type { FakeLink } from "./fake_link.ts";

/** What the server says to a question. `undefined`: nothing at all. */
export interface ZoneReply {
  readonly rcode?: number;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
  /** Over UDP only the mark that there is more. */
  readonly isTruncated?: boolean;
}

export type Zone = (name: string, type: string, query: Packet) => ZoneReply | undefined;

export interface NameServer extends AsyncDisposable {
  readonly port: number;
  /** `UDP example A` and the like, in order. */
  readonly asked: string[];
}

export async function startNameServer(zone: Zone): Promise<NameServer> {
  const asked: string[] = [];
  const replyTo = (message: Uint8Array, transport: "UDP" | "TCP"): Buffer | undefined => {
    const query = decode(Buffer.from(message));
    const [question] = query.questions ?? [];
    if (question === undefined) return undefined;
    asked.push(`${transport} ${question.name} ${question.type}`);
    const reply = zone(question.name, question.type, query);
    if (reply === undefined) return undefined;
    const isCut = reply.isTruncated === true && transport === "UDP";
    return encode({
      type: "response",
      id: query.id ?? 0,
      flags: 0x0180 | (isCut ? 0x0200 : 0) | (reply.rcode ?? 0),
      questions: [question],
      answers: isCut ? [] : [...(reply.answers ?? [])],
      authorities: [...(reply.authorities ?? [])],
    });
  };
  const tcp = createServer((socket) => {
    socket.on("error", () => {});
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length > 2 && received.length >= received.readUInt16BE(0) + 2) {
        const end = received.readUInt16BE(0) + 2;
        const reply = replyTo(received.subarray(2, end), "TCP");
        received = received.subarray(end);
        if (reply !== undefined)
          socket.write(Buffer.concat([Buffer.of(reply.length >> 8, reply.length & 255), reply]));
      }
    });
  });
  await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
  const address = tcp.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const udp = createSocket("udp4");
  udp.on("message", (message, { port, address: peer }) => {
    const reply = replyTo(message, "UDP");
    if (reply !== undefined) udp.send(reply, port, peer);
  });
  await new Promise<void>((resolve) => udp.bind(address.port, "127.0.0.1", resolve));
  return {
    port: address.port,
    asked,
    async [Symbol.asyncDispose]() {
      udp.close();
      await new Promise((resolve) => tcp.close(resolve));
    },
  };
}

/** Records by name and type; a name without records does not exist. */
export function zoneOf(records: readonly Answer[]): Zone {
  return (name, type) => {
    const known = records.filter((record) => record.name.toLowerCase() === name.toLowerCase());
    if (known.length === 0) return { rcode: 3 };
    const answers = known.filter((record) => record.type === type || record.type === "CNAME");
    const targets = answers.flatMap((record) => (record.type === "CNAME" ? [record.data] : []));
    return { answers: [...answers, ...records.filter((r) => targets.includes(r.name) && r.type === type)] };
  };
}

export function a(name: string, data: string, ttl = 300): Answer {
  return { name, type: "A", ttl, data };
}

export function aaaa(name: string, data: string, ttl = 300): Answer {
  return { name, type: "AAAA", ttl, data };
}

export function cname(name: string, data: string, ttl = 300): Answer {
  return { name, type: "CNAME", ttl, data };
}

export interface Reply {
  readonly rcode: string;
  readonly isTruncated: boolean;
  readonly addresses: readonly string[];
  readonly packet: Packet;
}

let nextId = 1;

export function queryFor(name: string, type: string, hasEdns = false): { id: number; message: Buffer } {
  const id = nextId++ & 0xffff;
  const message = encode({
    type: "query",
    id,
    flags: 0x0100,
    questions: [{ name, type: type as "A", class: "IN" }],
    additionals: hasEdns
      ? [
          {
            name: ".",
            type: "OPT",
            udpPayloadSize: 4096,
            extendedRcode: 0,
            ednsVersion: 0,
            flags: 0,
            flag_do: false,
            options: [],
          },
        ]
      : [],
  });
  return { id, message };
}

/** Asks from inside the guest, at any server address. */
export async function ask(link: FakeLink, name: string, type = "A", server = "203.0.113.1"): Promise<Reply> {
  const { id, message } = queryFor(name, type);
  const socket = await link.datagrams(server, 53, message);
  if (typeof socket === "string") throw new Error(`DNS is ${socket}`);
  const reply = readReply(await socket.receive(), id);
  socket.close();
  return reply;
}

export function readReply(bytes: Uint8Array, id: number): Reply {
  const packet = decode(Buffer.from(bytes));
  if (packet.id !== id) throw new Error(`the reply is to ${packet.id}, not to ${id}`);
  const flags = bytes[3] ?? 0;
  return {
    rcode:
      ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][flags & 15] ?? String(flags & 15),
    isTruncated: ((bytes[2] ?? 0) & 2) !== 0,
    addresses: (packet.answers ?? []).flatMap((record) =>
      record.type === "A" || record.type === "AAAA" ? [record.data] : [],
    ),
    packet,
  };
}
