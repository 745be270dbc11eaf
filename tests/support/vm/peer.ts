/**
 * Another process of this runtime that uses the sandboxes of the present home: see `vm_peer_main.ts`.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SandboxOptions } from "../../../mod.ts";

export type PeerRequest =
  | { readonly action: "create"; readonly options: SandboxOptions }
  /** Creates up to the moment when the name is the peer's, and goes no further until it is told to give up. */
  | { readonly action: "claim"; readonly options: SandboxOptions }
  /** Answers with the last step that the creation had reached. */
  | { readonly action: "giveUp" }
  | { readonly action: "start" | "detach" | "stop"; readonly name: string }
  | { readonly action: "exec"; readonly name: string; readonly argv: readonly string[] }
  /** Answers with the job's id. */
  | {
      readonly action: "startJob";
      readonly name: string;
      readonly argv: readonly string[];
      readonly job: string;
      readonly stdin?: "pipe";
    }
  | { readonly action: "exit" };

export type PeerAnswer =
  | { readonly value: string }
  /** What was thrown: the code of an error of ours, and its text. */
  | { readonly code: string; readonly message: string };

/** What a peer's library threw. */
export class PeerError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const PROGRAM = fileURLToPath(new URL("./peer_main.ts", import.meta.url));
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

export class Peer implements AsyncDisposable {
  /** Resolves when the process has ended, with its exit code or signal. */
  readonly ended: Promise<number | string | null>;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  /** Starts the process; `MSB_HOME` is the present one. */
  constructor() {
    const args = "Bun" in globalThis ? [PROGRAM] : ["run", "-A", "--no-check", "--quiet", PROGRAM];
    const { MSB_ONLY_IGNORED: _, ...env } = process.env;
    this.#child = spawn(process.execPath, args, { cwd: PROJECT, env, stdio: ["pipe", "pipe", "ignore"] });
    this.ended = new Promise((resolve) =>
      this.#child.once("exit", (code, signal) => resolve(signal ?? code)),
    );
    this.#child.stdin?.on("error", () => {}); // it was killed
    if (this.#child.stdout === null) throw new Error("a peer without output");
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Has the peer do something. @throws {PeerError} what its library threw. */
  async ask(request: PeerRequest): Promise<string> {
    this.send(request);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new PeerError("ended", "the peer has ended");
    const answer: PeerAnswer = JSON.parse(value);
    if ("code" in answer) throw new PeerError(answer.code, answer.message);
    return answer.value;
  }

  /** Says what to do without waiting for the answer. */
  send(request: PeerRequest): void {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
  }

  /** Ends its input: it has nothing more to do. */
  letGo(): void {
    this.#child.stdin?.end();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
