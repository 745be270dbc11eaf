/**
 * A guest with a network, without a VM: the agent as an ordinary process in a network namespace of its own, and this process
 * as what decides about its flows. Programs run in the namespace through the agent.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { accessSync } from "node:fs";
import { Duplex } from "node:stream";
import { AgentClient } from "../../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import { PROTOCOL_VERSION } from "../../../src/agent/protocol.ts";
import { AgentGuestLink } from "../../../src/egress/guest/guest_link.ts";
import { GUEST_NETWORK } from "../../../src/egress/guest_network.ts";
import type { ByteConnection } from "../../../src/platform/byte_connection.ts";
import { readText, stdoutOf } from "../guest/exec_sessions.ts";
import { NOTHING_TO_BOOT, nativeAgentPath, nativeAgentProblem } from "../guest/native_agent.ts";

/** Why this machine cannot have one; `undefined` where it can. */
export const guestNetworkProblem: string | undefined = nativeAgentProblem ?? findProblem();

function findProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for a network namespace";
  try {
    accessSync("/dev/net/tun");
  } catch {
    return "needs /dev/net/tun";
  }
  for (const program of ["unshare", "ip", "python3"])
    if (spawnSync(program, ["--help"]).error !== undefined) return `needs ${program}`;
  return undefined;
}

/** How a program of the guest's ended, and what it wrote. */
export interface GuestResult {
  readonly code: number;
  readonly stdout: string;
}

/** A guest whose flows are asked for by {@linkcode link}. */
export class GuestNetwork implements AsyncDisposable {
  readonly client: AgentClient;
  readonly link: AgentGuestLink;
  readonly #exit: Promise<unknown>;

  static async start(): Promise<GuestNetwork> {
    const { client, exit } = await startAgent();
    try {
      return new GuestNetwork(client, await AgentGuestLink.open(client), exit);
    } catch (error) {
      client.close();
      await exit;
      throw error;
    }
  }

  private constructor(client: AgentClient, link: AgentGuestLink, exit: Promise<unknown>) {
    this.client = client;
    this.link = link;
    this.#exit = exit;
  }

  /** Runs a program to its end. */
  async run(...argv: readonly string[]): Promise<GuestResult> {
    return await runInGuest(this.client, argv);
  }

  /** Runs a Python program, which must succeed; returns what it wrote. */
  async python(program: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout } = await this.run("/usr/bin/env", "python3", "-c", program, ...args);
    if (code !== 0) throw new Error(`the program in the guest exited with ${code}:\n${stdout}`);
    return stdout.trimEnd();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.#exit;
  }
}

/** Runs a program to its end; what it writes to stderr comes with what it writes to stdout. */
export async function runInGuest(client: AgentClient, argv: readonly string[]): Promise<GuestResult> {
  const session = client.startExec({
    argv: ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", ...argv],
    env: [`PATH=${process.env["PATH"]}`],
    cwd: "/",
    user: "",
    rlimits: [],
    stdin: false,
  });
  const [stdout, { code }] = await Promise.all([readText(stdoutOf(session)), session.settled]);
  return { code, stdout };
}

/** An agent in a namespace that has a loopback interface only. Programs there ask the gateway for names, as in a VM. */
export async function startAgent(): Promise<{ client: AgentClient; exit: Promise<unknown> }> {
  const script = `
    ip link set lo up && resolver=$(mktemp) && echo "nameserver $1" >"$resolver" &&
      mount --bind "$resolver" /etc/resolv.conf && rm "$resolver" && exec "$0" --fd 3`;
  const words = ["--net", "--mount", "sh", "-c", script, nativeAgentPath(), GUEST_NETWORK.ipv4.gateway];
  const child = spawn("unshare", words, {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const exit = new Promise((resolve) => child.once("exit", resolve));
  const socket = child.stdio[3];
  if (!(socket instanceof Duplex)) throw new Error("the runtime gave no socket for descriptor 3");
  const connection = new AgentConnection(socket);
  await connection.ready;
  return { client: await AgentClient.over(connection), exit };
}

/** Speaks to an agent and to a client as the VM host process does. */
class AgentConnection implements ByteConnection {
  readonly closed: Promise<void>;
  /** Resolves when programs can be run. */
  readonly ready: Promise<void>;
  readonly #socket: Duplex;
  readonly #ready = Promise.withResolvers<void>();
  #handle: ((chunk: Uint8Array) => void) | undefined;
  #draining: Promise<void> | undefined;
  #isClosed = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.ready = this.#ready.promise;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    this.closed.then(() => {
      this.#isClosed = true;
      this.#ready.reject(new Error("the agent hung up"));
    });
    this.ready.catch(() => {});
    socket.on("error", () => {}); // `close` follows
    const decoder = new FrameDecoder();
    socket.on("data", (chunk: Uint8Array) => {
      if (this.#handle !== undefined) return this.#handle(chunk);
      for (const frame of decoder.feed(chunk)) {
        const message = decodeMessage(frame);
        if (message?.name === "hello") this.send(encodeMessage("boot", 0, NOTHING_TO_BOOT));
        else if (message?.name === "ready") this.#ready.resolve();
      }
    });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    this.#handle = handle;
    handle(
      encodeMessage("welcome", 0, {
        version: PROTOCOL_VERSION,
        features: 0,
        firstStream: 1,
        lastStream: 0x00ff_ffff,
        bootNumber: 1,
        sandboxId: "native",
      }),
    );
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  async drained(): Promise<void> {
    if (!this.#socket.writableNeedDrain || this.#isClosed) return;
    this.#draining ??= new Promise((resolve) => {
      const done = () => {
        this.#draining = undefined;
        resolve();
      };
      this.#socket.once("drain", done);
      this.closed.then(done);
    });
    await this.#draining;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  setReferenced(): void {}
}
