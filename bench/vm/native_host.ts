/**
 * The VM host process of `native_host_main.ts`, as a child: relay and agent without a VM.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentClient } from "../../src/agent/client.ts";
import type { ExecSession } from "../../src/agent/exec_session.ts";
import type { NativePrograms } from "../support/native_programs.ts";
import { hostArguments } from "../support/runtime.ts";

export interface NativeHostOptions {
  /** The child's sockets and logs. */
  readonly directory: string;
  readonly logged: boolean;
  /** Where a processor profile of the child goes; none without. */
  readonly profileDirectory?: string | undefined;
}

/** A running child and a client's connection to it. */
export class NativeHost implements AsyncDisposable {
  readonly client: AgentClient;
  readonly #child: ChildProcess;

  static async start(programs: NativePrograms, options: NativeHostOptions): Promise<NativeHost> {
    const child = await startChild(programs, options);
    return new NativeHost(child, await AgentClient.connect(join(options.directory, "relay.sock")));
  }

  private constructor(child: ChildProcess, client: AgentClient) {
    this.#child = child;
    this.client = client;
  }

  exec(argv: readonly string[]): ExecSession {
    return this.client.startExec({ argv, env: [], cwd: "/", user: "", rlimits: [], stdin: false });
  }

  /** Ends the child; gives its processor time since it was ready, in milliseconds. */
  async end(): Promise<number> {
    this.client.close();
    const { stdin, stdout } = this.#child;
    if (stdin === null || stdout === null) throw new Error("the child has no pipes");
    const report = once(stdout, "data");
    const ended = once(this.#child, "exit");
    stdin.end();
    const [text] = await report;
    await ended; // it writes its profile on the way
    const { userMs, systemMs } = JSON.parse(String(text));
    return userMs + systemMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    this.#child.kill("SIGKILL");
  }
}

async function startChild(
  programs: NativePrograms,
  { directory, logged, profileDirectory }: NativeHostOptions,
): Promise<ChildProcess> {
  const script = fileURLToPath(new URL("./native_host_main.ts", import.meta.url));
  const command = JSON.stringify([programs.connectAgent, programs.agent]);
  const profile = profileDirectory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDirectory}`];
  const args = [...profile, ...hostArguments(script), directory, command, logged ? "log" : "no-log"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("the child has no pipes");
  await once(child.stdout, "data");
  return child;
}
