/**
 * Does one small thing very often, and prints by how many bytes the heap has grown: a program of its own, as garbage has to
 * be collected before it is measured. Its argument names the thing.
 *
 * @module
 */
import { createServer } from "node:net";
import { join } from "node:path";
import { AgentClient } from "../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../src/agent/codec.ts";
import { FrameDecoder } from "../../src/agent/frame.ts";
import { type Message, type MessageFields, PROTOCOL_VERSION } from "../../src/agent/protocol.ts";
import { connectUnix } from "../../src/platform/unix_socket.ts";
import { AgentLink } from "../../src/vmm/host/agent_link.ts";
import { run } from "./guest/exec_sessions.ts";
import { temporaryDirectory } from "./harness.ts";
import { execStart, FakeHost } from "./host/in_process_host.ts";
import { RawClient } from "./host/raw_client.ts";
import { MemoryConnection } from "./memory_connection.ts";

type Step = () => Promise<unknown>;

const WARM_UP_TURNS = 5_000;
const TURNS = 100_000;
/** As small as a frame can be. */
const SMALL_BYTES = 12;

const WELCOME: MessageFields<"welcome"> = {
  version: PROTOCOL_VERSION,
  features: 0,
  firstStream: 1,
  lastStream: 1_000_000,
  bootNumber: 1,
  sandboxId: "growth",
};

/** Each returns what one turn does. Something in it lasts longer than all turns: a program, a connection. */
const THINGS: Readonly<Record<string, () => Promise<Step>>> = {
  async exec() {
    const { client, host } = await connect((message, send) => {
      if (message.name === "execStart") send(encodeMessage("execStarted", message.stream, { pid: 1 }));
    });
    const handle = await run({ connect: async () => client }, execStart(["yes"]));
    await handle.recv();
    const chunk = encodeMessage("stdout", 1, { data: Uint8Array.of(10) });
    return async () => {
      host.send(chunk);
      await handle.recv();
    };
  },

  async ping() {
    const { client } = await connect((message, send) => {
      if (message.name === "ping") send(encodeMessage("pong", 0, { token: message.fields.token }));
    });
    return () => client.ping();
  },

  async pause() {
    const [near, guest] = MemoryConnection.pair();
    answer(guest, (message, send) => {
      if (message.name === "pause")
        send(encodeMessage("paused", 0, { token: message.fields.token, on: 1, errno: 0 }));
    });
    const link = new AgentLink(near);
    return () => link.pause(true);
  },

  async drained() {
    const directory = temporaryDirectory();
    const path = join(directory.path, "sock");
    const server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connection = await connectUnix(path);
    const chunk = new Uint8Array(256 * 1024);
    return async () => {
      connection.send(chunk);
      await connection.drained();
    };
  },

  async unread() {
    const directory = temporaryDirectory();
    const path = join(directory.path, "sock");
    const server = createServer({ pauseOnConnect: true }, () => {});
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connection = await connectUnix(path);
    return async () => connection.send(new Uint8Array(SMALL_BYTES));
  },

  async relayed() {
    const host = await FakeHost.start();
    const frame = await unreadClient(host.path);
    return async () => host.link.onFrame(frame);
  },
};

/** A client whose connection the relay cannot empty, and a frame of its own without content. */
async function unreadClient(path: string) {
  const raw = await RawClient.connect(path);
  const { firstStream } = await raw.welcome();
  raw.connection.pause();
  const bytes = encodeMessage("stdout", firstStream, { data: new Uint8Array(0) });
  return { stream: firstStream, type: bytes[8]!, flags: 0, payload: new Uint8Array(0), bytes };
}

/** Answers what arrives at one end of a connection. */
function answer(
  connection: MemoryConnection,
  respond: (message: Message, send: (frame: Uint8Array) => void) => void,
): void {
  const decoder = new FrameDecoder();
  connection.onData((chunk) => {
    for (const frame of decoder.feed(chunk)) {
      const message = decodeMessage(frame);
      if (message !== undefined) respond(message, (reply) => connection.send(reply));
    }
  });
}

async function connect(
  respond: Parameters<typeof answer>[1],
): Promise<{ readonly client: AgentClient; readonly host: MemoryConnection }> {
  const [near, host] = MemoryConnection.pair();
  host.send(encodeMessage("welcome", 0, WELCOME));
  answer(host, respond);
  return { client: await AgentClient.over(near), host };
}

/** The things whose turns leave bytes waiting: their buffers count. */
const KEEPS_BUFFERS: ReadonlySet<string> = new Set(["unread", "relayed"]);

/** What is left after collecting garbage. */
function aliveBytes(name: string): number {
  const runtime = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  runtime.Bun?.gc(true);
  runtime.gc?.();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return KEEPS_BUFFERS.has(name) ? heapUsed + Math.max(external, arrayBuffers) : heapUsed;
}

async function repeat(step: Step, turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    await step();
    if (turn % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve)); // timers and sockets have their turn
  }
}

const name = process.argv[2] ?? "";
const thing = THINGS[name];
if (thing === undefined) throw new Error(`one of ${Object.keys(THINGS).join(", ")}`);
const turns = Number(process.argv[3] ?? TURNS);
const step = await thing();
await repeat(step, WARM_UP_TURNS);
const before = aliveBytes(name);
await repeat(step, turns);
console.log(JSON.stringify({ grownBytes: aliveBytes(name) - before, turns }));
process.exit(0);
