/**
 * The guest agent as an ordinary process: the whole protocol, no VM.
 *
 * Nothing is done behind a test's back: credit is given only where a test asks for it ({@linkcode NativeAgent.collect}).
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { decodeMessage, encodeMessage, encodePayload } from "../../../src/agent/codec.ts";
import { encodeFrame, FrameDecoder } from "../../../src/agent/frame.ts";
import {
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  MESSAGES,
  type Message,
  type MessageFields,
  type MessageName,
} from "../../../src/agent/protocol.ts";

/** The directory of the agent's sources. */
export const GUEST_DIRECTORY: string = fileURLToPath(new URL("../../../guest", import.meta.url));

/** Why the agent cannot run here; `undefined` where it can. */
export const nativeAgentProblem: string | undefined =
  process.platform === "linux" ? undefined : "the guest agent is a Linux program";

/** What `execStart` needs, with defaults. */
export interface NativeExecOptions {
  flags?: number;
  rows?: number;
  columns?: number;
  cwd?: string;
  user?: string;
  env?: readonly string[];
  rlimits?: readonly string[];
}

/** How to start an agent as an ordinary process. */
export const NOTHING_TO_BOOT: MessageFields<"boot"> = {
  imageDevice: "",
  imageType: "",
  upperDevice: "",
  upperType: "tmpfs",
  upperOptions: "",
  upperFlags: 0,
  hostname: "",
  hosts: "",
  resolvConf: "",
  clockSeconds: 0,
  clockNanoseconds: 0,
};

/** A message of one name. */
export type MessageOf<N extends MessageName> = Extract<Message, { readonly name: N }>;

/** Everything that one session sent until `closed`. */
export interface SessionRecord {
  /** Names in order; data frames in a row once. */
  readonly names: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
  /** Of a pseudo-terminal. */
  readonly output: string;
  readonly outputBytes: number;
  readonly exited: MessageFields<"exited"> | undefined;
  readonly failed: MessageFields<"execFailed"> | undefined;
}

/** How the agent's process ended. */
export interface AgentExit {
  readonly code: number | null;
  readonly signal: string | null;
}

const RECEIVE_TIMEOUT_MS = 20_000;

/** One running agent. */
export class NativeAgent {
  readonly exit: Promise<AgentExit>;
  readonly #process: ChildProcess;
  readonly #socket: Duplex;
  readonly #queues = new Map<number, Message[]>();
  #wake: (() => void) | undefined;
  #problem: Error | undefined;

  private constructor(child: ChildProcess, socket: Duplex) {
    this.#process = child;
    this.#socket = socket;
    this.exit = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    const decoder = new FrameDecoder();
    socket.on("data", (chunk: Uint8Array) => this.#receive(decoder, chunk));
    socket.on("close", () => this.#fail(new Error("the agent closed the connection")));
    socket.on("error", (error) => this.#fail(error));
  }

  /** Starts an agent; with `boot: false` it still waits for its `boot`. */
  static async start({ boot = true }: { boot?: boolean } = {}): Promise<NativeAgent> {
    const child = spawn(nativeAgentPath(), ["--fd", "3"], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
    const socket = child.stdio[3];
    if (!(socket instanceof Duplex)) throw new Error("the runtime gave no socket for descriptor 3");
    const agent = new NativeAgent(child, socket);
    if (boot) {
      await agent.expect("hello", 0);
      agent.boot();
      await agent.expect("ready", 0);
    }
    return agent;
  }

  get pid(): number {
    return this.#process.pid!;
  }

  boot(): void {
    this.send("boot", 0, NOTHING_TO_BOOT);
  }

  send<N extends MessageName>(name: N, stream: number, fields: MessageFields<N>, flags = 0): void {
    this.sendBytes(encodeMessage(name, stream, fields, flags));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends `execStart`, in as many parts as it takes, or in parts of `partBytes`. */
  exec(
    stream: number,
    argv: readonly string[],
    options: NativeExecOptions = {},
    partBytes = FRAME_PAYLOAD_BYTES_MAX,
  ): void {
    const payload = encodePayload("execStart", {
      flags: options.flags ?? 0,
      rows: options.rows ?? 0,
      columns: options.columns ?? 0,
      cwd: options.cwd ?? "",
      user: options.user ?? "",
      argv,
      env: options.env ?? [],
      rlimits: options.rlimits ?? [],
    });
    for (let offset = 0; offset < payload.length; offset += partBytes) {
      const flags = offset + partBytes < payload.length ? FrameFlag.more : 0;
      const part = payload.subarray(offset, offset + partBytes);
      this.sendBytes(encodeFrame({ stream, type: MESSAGES.execStart.type, flags, payload: part }));
    }
  }

  /** Runs a shell script to its end. */
  async run(stream: number, script: string, options?: NativeExecOptions): Promise<SessionRecord> {
    this.exec(stream, ["sh", "-c", script], options);
    return await this.collect(stream);
  }

  /** Stops taking what the agent sends, until {@linkcode NativeAgent.resume}. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  stdin(stream: number, data: string | Uint8Array, flags = 0): void {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    let offset = 0;
    do {
      const part = bytes.subarray(offset, offset + FRAME_PAYLOAD_BYTES_MAX);
      offset += part.length;
      this.send("stdin", stream, { data: part }, offset < bytes.length ? 0 : flags);
    } while (offset < bytes.length);
  }

  /** The next message on `stream`. */
  async next(stream: number, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<Message> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const message = this.#queues.get(stream)?.shift();
      if (message !== undefined) return message;
      if (this.#problem !== undefined) throw this.#problem;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`Nothing came on stream ${stream} in ${timeoutMs} ms`);
      await this.#change(left);
    }
  }

  /** The next message on `stream`, which must be this one. */
  async expect<N extends MessageName>(name: N, stream: number): Promise<MessageOf<N>> {
    const message = await this.next(stream);
    if (!isMessage(message, name)) {
      throw new Error(
        `Expected ${name} on stream ${stream}, got ${message.name} ${JSON.stringify(message.fields)}`,
      );
    }
    return message;
  }

  /** Whatever has come on `stream` and was not asked for yet. */
  pending(stream: number): readonly Message[] {
    return this.#queues.get(stream) ?? [];
  }

  /** Returns once the agent has handled all that was sent before, and its answers are here. */
  async settle(): Promise<void> {
    const stream = 0xffff_ff00; // of no session
    this.send("ping", stream, { token: 1 });
    await this.expect("pong", stream);
  }

  /** Gathers what `stream` sends until `closed`, giving credit for all of it. */
  async collect(stream: number): Promise<SessionRecord> {
    const texts = { stdout: "", stderr: "", output: "" };
    const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder(), output: new TextDecoder() };
    const names: string[] = [];
    let outputBytes = 0;
    let exited: MessageFields<"exited"> | undefined;
    let failed: MessageFields<"execFailed"> | undefined;
    for (;;) {
      const message = await this.next(stream);
      if (names.at(-1) !== message.name) names.push(message.name);
      switch (message.name) {
        case "stdout":
        case "stderr":
        case "output": {
          const { data } = message.fields;
          texts[message.name] += decoders[message.name].decode(data, { stream: true });
          outputBytes += data.length;
          const channel = MESSAGES[message.name].type;
          const wantsCredit = data.length > 0 && (message.flags & FrameFlag.logOnly) === 0;
          if (wantsCredit) this.send("credit", stream, { channel, bytes: data.length });
          break;
        }
        case "exited":
          exited = message.fields;
          break;
        case "execFailed":
          failed = message.fields;
          break;
        case "closed":
          return { names, ...texts, outputBytes, exited, failed };
      }
    }
  }

  /** Closes the connection, which ends the agent, and waits for that. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.exit;
  }

  #receive(decoder: FrameDecoder, chunk: Uint8Array): void {
    try {
      for (const { payload, ...frame } of decoder.feed(chunk)) {
        const message = decodeMessage({ ...frame, payload: payload.slice() });
        if (message === undefined) throw new Error(`the agent sent the unknown type ${frame.type}`);
        const queue = this.#queues.get(frame.stream);
        if (queue === undefined) this.#queues.set(frame.stream, [message]);
        else queue.push(message);
      }
      this.#wakeAll();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(problem: Error): void {
    this.#problem ??= problem;
    this.#wakeAll();
  }

  /** Each waits anew: one that has been woken is not to be held for ever. */
  #wakeAll(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async #change(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => {
      const others = this.#wake;
      this.#wake = () => {
        others?.();
        resolve();
      };
    });
    const expired = new Promise<void>((resolve) => {
      if (Number.isFinite(timeoutMs)) timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([woken, expired]);
    clearTimeout(timer);
  }
}

function isMessage<N extends MessageName>(message: Message, name: N): message is MessageOf<N> {
  return message.name === name;
}

/** Returns when there is no such process any more, or only its zombie; the test's own time limit bounds it. */
export async function processEnd(pid: number): Promise<void> {
  for (;;) {
    try {
      if (/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"))) return;
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

let agentPath: string | undefined;

/** A binary that runs here: `MSB_TEST_AGENT`, the prebuilt one, or one compiled on the spot. */
export function nativeAgentPath(): string {
  agentPath ??= process.env["MSB_TEST_AGENT"] ?? findPrebuiltAgent() ?? compileAgent();
  return agentPath;
}

function findPrebuiltAgent(): string | undefined {
  const architecture =
    process.arch === "x64" ? "x86_64" : process.arch === "arm64" ? "aarch64" : process.arch;
  const path = join(GUEST_DIRECTORY, "prebuilt", `agent-${architecture}`);
  return existsSync(path) ? path : undefined;
}

function compileAgent(): string {
  const output = join(mkdtempSync(join(tmpdir(), "msb-agent-")), "agent");
  const sources = readdirSync(GUEST_DIRECTORY).filter((name) => name.endsWith(".c"));
  execFileSync("cc", ["-std=c11", "-D_GNU_SOURCE", "-Os", "-o", output, ...sources], {
    cwd: GUEST_DIRECTORY,
  });
  return output;
}
