/**
 * A mount on this machine's own kernel: the agent as an ordinary process mounts, the server answers. Whatever uses it has to be
 * another process, since the server runs in this one.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { accessSync } from "node:fs";
import { encodeMessage } from "../../../src/agent/codec.ts";
import { FRAME_PAYLOAD_BYTES_MAX, MESSAGES, STREAM_WINDOW_BYTES } from "../../../src/agent/protocol.ts";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { MountServer, type MountServerOptions } from "../../../src/mount/server.ts";
import { NativeAgent, nativeAgentProblem } from "../guest/native_agent.ts";

const STREAM = 1;
const COMMAND_TIMEOUT_MS = 50_000;

/** Why this machine cannot mount; `undefined` where it can. */
export const kernelMountProblem: string | undefined = nativeAgentProblem ?? findProblem();

function findProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root to mount";
  try {
    accessSync("/dev/fuse");
    return undefined;
  } catch {
    return "needs /dev/fuse";
  }
}

/** How a command ended. */
export interface CommandResult {
  readonly code: number | null;
  readonly output: string;
}

/** One mount. Disposing it unmounts. */
export class KernelMount {
  readonly path: string;
  readonly server: MountServer;
  readonly #agent: NativeAgent;
  readonly #replies: Uint8Array[] = [];
  #credit = STREAM_WINDOW_BYTES;
  #isOver = false;
  readonly #pump: Promise<void>;

  private constructor(
    path: string,
    agent: NativeAgent,
    provider: FileSystemProvider,
    options: MountServerOptions,
  ) {
    this.path = path;
    this.#agent = agent;
    this.server = new MountServer(provider, options, (bytes) => {
      this.#replies.push(bytes);
      this.#flush();
    });
    this.#pump = this.#run();
  }

  static async open(
    path: string,
    provider: FileSystemProvider,
    options: MountServerOptions = {},
    flags = 0,
  ): Promise<KernelMount> {
    const agent = await NativeAgent.start();
    agent.send("mountOpen", STREAM, { flags, sizeBytes: 0, target: new TextEncoder().encode(path) });
    const first = await agent.next(STREAM);
    if (first.name !== "execStarted") throw new Error(`no mount: ${JSON.stringify(first.fields)}`);
    return new KernelMount(path, agent, provider, options);
  }

  /** Runs a shell script in the mount; it is killed after `timeoutMs`. */
  async run(
    script: string,
    args: readonly string[] = [],
    timeoutMs = COMMAND_TIMEOUT_MS,
  ): Promise<CommandResult> {
    const child = spawn("sh", ["-c", script, "sh", ...args], {
      cwd: "/",
      env: { ...process.env, M: this.path },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    return await new Promise((resolve) => child.once("close", (code) => resolve({ code, output })));
  }

  /** Unmounts; gives the errno. */
  async unmount(lazily = false): Promise<number> {
    this.#unmounted = Promise.withResolvers<number>();
    this.#agent.send("unmount", STREAM, { lazily: lazily ? 1 : 0 });
    return await this.#unmounted.promise;
  }
  #unmounted = Promise.withResolvers<number>();

  /** Goes away without a word, as a host that was killed does. */
  lose(): void {
    this.#agent.send("close", STREAM, {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.unmount(true);
    await this.#pump;
    await this.server.close();
    await this.#agent[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    for (;;) {
      const message = await this.#agent.next(STREAM, Number.POSITIVE_INFINITY);
      if (message.name === "stdout") {
        const { data } = message.fields;
        if (data.length > 0) {
          this.#agent.sendBytes(
            encodeMessage("credit", STREAM, { channel: MESSAGES.stdout.type, bytes: data.length }),
          );
          this.server.feed(data);
        }
      } else if (message.name === "stderr" && message.fields.data.length >= 4) {
        const { data } = message.fields;
        this.#unmounted.resolve(new DataView(data.buffer, data.byteOffset).getUint32(0, true));
      } else if (message.name === "credit") {
        this.#credit += message.fields.bytes;
        this.#flush();
      } else if (message.name === "closed") {
        this.#isOver = true;
        this.#unmounted.resolve(0);
        return;
      }
    }
  }

  #flush(): void {
    for (let reply = this.#replies[0]; reply !== undefined; reply = this.#replies[0]) {
      const size = Math.min(reply.length, this.#credit, FRAME_PAYLOAD_BYTES_MAX);
      if (size === 0) return;
      this.#agent.send("stdin", STREAM, { data: reply.subarray(0, size) });
      this.#credit -= size;
      if (size === reply.length) this.#replies.shift();
      else this.#replies[0] = reply.subarray(size);
    }
  }
}
