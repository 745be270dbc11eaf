/**
 * How fast the core moves bytes between a guest's streams and a server on loopback, beside a socket alone. The server is
 * another process; the guest costs nothing.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import type { Bytes } from "../../src/base/bytes.ts";
import { KiB, MiB } from "../../src/base/bytes.ts";
import { Egress } from "../../src/egress/egress.ts";
import type { FlowRequest, GuestConnection, GuestLink } from "../../src/egress/flow.ts";
import { policies } from "../../src/egress/policy/factories.ts";
import { type Figure, sample } from "../support/figures.ts";

const BYTES = 512 * MiB;
const CHUNK_BYTES = 64 * KiB;
const CONNECTIONS = 500;
const SERVER = "93.184.216.34";
const LIMIT_MB = 500;
/** Ports of the two servers in the guest's world. */
const SOURCE_PORT = 1;
const SINK_PORT = 2;

/** Moves bytes down and up, and opens connections. */
export async function measurePump(rounds: number): Promise<Figure[]> {
  await using server = await startServer();
  const link = new BenchLink();
  const egress = new Egress({
    link,
    config: {
      policy: policies.allowAll(),
      dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 5_000 },
      secrets: [],
      secretViolation: "block",
      maxConnections: 16,
      rateLimiter: {},
    },
    route: ({ port }) => ({
      address: "127.0.0.1",
      port: port === SOURCE_PORT ? server.sourcePort : server.sinkPort,
    }),
  });
  const runs: Record<"down" | "bareDown" | "up" | "bareUp" | "connect" | "bareConnect", number[]> = {
    down: [],
    bareDown: [],
    up: [],
    bareUp: [],
    connect: [],
    bareConnect: [],
  };
  for (let round = 0; round < rounds; round++) {
    runs.bareDown.push(await rateOf(() => bareDown(server.sourcePort)));
    runs.down.push(await rateOf(() => link.run(SOURCE_PORT, 0)));
    runs.bareUp.push(await rateOf(() => bareUp(server.sinkPort)));
    runs.up.push(await rateOf(() => link.run(SINK_PORT, BYTES)));
    runs.bareConnect.push(await timeOfEach(() => bareConnect(server.sinkPort)));
    runs.connect.push(await timeOfEach(() => link.run(SINK_PORT, 0)));
  }
  await egress.close();
  const figure = (
    name: string,
    ours: number[],
    bare: number[],
    unit: string,
    limit?: Figure["limit"],
  ): Figure => ({
    name,
    value: sample(ours).median,
    unit,
    limit,
    detail: { ours: sample(ours), bare: sample(bare), ofBare: sample(ours).median / sample(bare).median },
  });
  const limit = { kind: "at least", value: LIMIT_MB } as const;
  return [
    figure("pump to the guest", runs.down, runs.bareDown, "MB/s", limit),
    { name: "  a socket alone", value: sample(runs.bareDown).median, unit: "MB/s" },
    figure("pump from the guest", runs.up, runs.bareUp, "MB/s", limit),
    { name: "  a socket alone", value: sample(runs.bareUp).median, unit: "MB/s" },
    figure("decide, connect and end a flow", runs.connect, runs.bareConnect, "ms"),
    { name: "  connect and end a socket alone", value: sample(runs.bareConnect).median, unit: "ms" },
  ];
}

async function rateOf(move: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await move();
  return BYTES / 1e6 / ((performance.now() - begin) / 1000);
}

async function timeOfEach(open: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  for (let count = 0; count < CONNECTIONS; count++) await open();
  return (performance.now() - begin) / CONNECTIONS;
}

function bareDown(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("data", () => {});
    socket.on("end", resolve);
    socket.on("error", reject);
  });
}

function bareUp(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    const chunk = new Uint8Array(CHUNK_BYTES);
    let left = BYTES;
    const fill = (): void => {
      while (left > 0) {
        left -= chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", fill);
      }
      socket.end();
    };
    socket.once("connect", fill);
    socket.on("data", () => {});
    socket.on("end", resolve);
    socket.on("error", reject);
  });
}

function bareConnect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.end());
    socket.on("data", () => {});
    socket.on("end", resolve);
    socket.on("error", reject);
  });
}

/** A guest that sends zeros, and reads and forgets. */
class BenchLink implements GuestLink {
  onRequest: (request: FlowRequest) => void = () => {};
  readonly closed: Promise<void> = new Promise(() => {});
  #sendBytes = 0;
  #ended = Promise.withResolvers<void>();
  #id = 1;

  /** One connection: sends so many bytes, ends, and reads to the end. */
  async run(port: number, sendBytes: number): Promise<void> {
    this.#sendBytes = sendBytes;
    this.#ended = Promise.withResolvers();
    const destination = { address: SERVER, port };
    const source = { address: "203.0.113.2", port: 1 };
    this.onRequest({
      id: this.#id++,
      protocol: "tcp",
      source,
      destination,
      signal: new AbortController().signal,
    });
    await this.#ended.promise;
  }

  async accept({ destination }: FlowRequest): Promise<GuestConnection> {
    let left = this.#sendBytes;
    const isDownload = destination.port === SOURCE_PORT;
    const ended = this.#ended;
    const chunk: Bytes = new Uint8Array(CHUNK_BYTES);
    return {
      readable: new ReadableStream<Bytes>(
        {
          async pull(controller) {
            if (left > 0) {
              left -= chunk.length;
              return controller.enqueue(chunk);
            }
            // A server on Deno takes the end of what it reads for the end of the connection.
            if (isDownload) await ended.promise;
            controller.close();
          },
        },
        { highWaterMark: 0 },
      ),
      writable: new WritableStream<Uint8Array>({ close: () => ended.resolve() }),
      closed: ended.promise.then(() => undefined),
      reset: () => ended.reject(new Error("reset")),
    };
  }

  acceptDatagrams(): never {
    throw new Error("no datagrams are measured");
  }

  refuse(request: FlowRequest, reason: string): void {
    this.#ended.reject(new Error(`${request.destination.address} is ${reason}`));
  }

  close(): void {}
}

async function startServer(): Promise<{ sourcePort: number; sinkPort: number } & AsyncDisposable> {
  const main = fileURLToPath(new URL("./pump_server.ts", import.meta.url));
  const args = "Bun" in globalThis ? [main] : ["run", "--allow-all", "--no-check", main];
  const child = spawn(process.execPath, [...args, String(BYTES)], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const line = await new Promise<string>((resolve) =>
    child.stdout.once("data", (data) => resolve(String(data))),
  );
  const [sourcePort = 0, sinkPort = 0] = line.split(" ").map(Number);
  return {
    sourcePort,
    sinkPort,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}
