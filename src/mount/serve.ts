/**
 * Joins a mount's stream to the server that answers it.
 *
 * @module
 */
import type { OutputChannel } from "../agent/channels.ts";
import { MountFailedError, ProtocolError } from "../agent/errors.ts";
import type { ExecSession } from "../agent/exec_session.ts";
import { MiB } from "../base/bytes.ts";
import { ChangeSignal } from "../base/change_signal.ts";
import { waitFor } from "../base/wait.ts";
import type { FileSystemProvider } from "./provider.ts";
import { MountServer, type MountServerOptions } from "./server.ts";

/** Replies that wait for the guest to take them, and reads that wait for the provider; past it no request is taken. */
export const WAITING_BYTES_MAX = 16 * MiB;
/** Replies that wait for the guest, however small they are. */
export const REPLIES_MAX = 4096;

/** Replies that are sent together: a frame for each would cost the guest more than what is in it. */
const BATCH_REPLIES_MAX = 64;

/** How long a guest may take to unmount: it writes what is not written yet. */
const UNMOUNT_MS = 60_000;
const ETIMEDOUT = 110;

/** A mount in a sandbox, served by this process. */
export class ServedMount {
  /** Resolves once programs can use it. Rejects with {@linkcode MountFailedError}. */
  readonly mounted: Promise<void>;
  /** Resolves when it is gone: unmounted, or the sandbox has ended. Never rejects. */
  readonly ended: Promise<void>;
  readonly #target: string;
  readonly #process: ExecSession;
  readonly #server: MountServer;
  readonly #replies: Uint8Array[] = [];
  readonly #changes = new ChangeSignal();
  readonly #unmounts: PromiseWithResolvers<number>[] = [];
  readonly #unmountMs: number;
  #waitingBytes = 0;
  /** Replies that are being sent. */
  #sending = 0;
  #isOver = false;
  /** Nothing reaches the guest any more. */
  #isGone = false;

  /** @param process The stream that `AgentClient.openMount()` opened. */
  constructor(
    target: string,
    process: ExecSession,
    provider: FileSystemProvider,
    options: MountServerOptions,
    unmountMs: number = UNMOUNT_MS,
  ) {
    this.#unmountMs = unmountMs;
    this.#target = target;
    this.#process = process;
    const settled = () => this.#changes.notify();
    this.#server = new MountServer(provider, options, (bytes) => this.#queue(bytes), settled);
    process.released.then(() => {
      this.#isGone = true;
      this.#changes.notify();
    });
    this.mounted = process.started.then(() => {});
    this.mounted.catch(() => {});
    this.ended = this.#serve();
  }

  /**
   * Unmounts. With `lazily` programs that use it keep it until they are done.
   *
   * @throws {MountFailedError} EBUSY while programs use it, ETIMEDOUT if the sandbox does not answer.
   */
  async unmount(lazily = false): Promise<void> {
    if (this.#isOver) return;
    const answer = Promise.withResolvers<number>();
    this.#unmounts.push(answer);
    this.#process.unmount(lazily);
    const limit = {
      action: "waiting for the sandbox to unmount",
      timeoutMs: this.#unmountMs,
      late: () => this.#late(),
    };
    const errno = await waitFor(answer.promise, limit);
    if (errno === 0) return await waitFor(this.ended, limit);
    const reason = errno === 16 ? "programs in the sandbox use it" : `errno ${errno}`;
    throw new MountFailedError(this.#target, errno, reason, "unmount");
  }

  #late(): MountFailedError {
    return new MountFailedError(
      this.#target,
      ETIMEDOUT,
      `the sandbox has not answered in ${this.#unmountMs} ms`,
      "unmount",
    );
  }

  async #serve(): Promise<void> {
    const [requests, answers] = ["stdout", "stderr"].map((name) =>
      this.#process.outputs.get(name as "stdout" | "stderr"),
    );
    if (requests === undefined || answers === undefined) throw new TypeError("a mount has two channels");
    const sending = this.#sendReplies();
    const answering = this.#takeAnswers(answers);
    for (const other of [sending, answering]) other.catch(() => {}); // this waits for them later
    try {
      await this.#takeRequests(requests);
    } catch (error) {
      this.#process.close(new ProtocolError("The guest broke the protocol of a mount", { cause: error }));
    }
    this.#isOver = true;
    this.#changes.notify();
    // No request can come any more, whatever else the guest keeps open: what it had open here is closed.
    await this.#server.close();
    await Promise.allSettled([sending, answering]);
    for (const answer of this.#unmounts.splice(0)) answer.resolve(0);
  }

  /** @throws if the connection fails, or the guest sends what is no request. */
  async #takeRequests(requests: OutputChannel): Promise<void> {
    for (;;) {
      const chunk = await requests.next();
      if (chunk === undefined) return;
      const steps = this.#server.steps(chunk);
      while (!steps.next().done) {
        while (this.#isFull && !this.#isGone) await this.#changes.next;
        if (this.#isFull) return; // no guest takes the replies any more
      }
    }
  }

  get #isFull(): boolean {
    const bytes = this.#waitingBytes + this.#server.usage.pendingBytes;
    return bytes > WAITING_BYTES_MAX || this.#replies.length + this.#sending > REPLIES_MAX;
  }

  /** Each unmount that was asked for is answered by an errno of four bytes, in order. */
  async #takeAnswers(answers: OutputChannel): Promise<void> {
    let kept = new Uint8Array(0);
    for (let chunk = await answers.next(); chunk !== undefined; chunk = await answers.next()) {
      const bytes = new Uint8Array(kept.length + chunk.length);
      bytes.set(kept);
      bytes.set(chunk, kept.length);
      const view = new DataView(bytes.buffer);
      let offset = 0;
      for (; offset + 4 <= bytes.length; offset += 4)
        this.#unmounts.shift()?.resolve(view.getUint32(offset, true));
      kept = bytes.slice(offset);
    }
  }

  #queue(bytes: Uint8Array): void {
    this.#replies.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#changes.notify();
  }

  async #sendReplies(): Promise<void> {
    for (;;) {
      const changed = this.#changes.next;
      const replies = this.#replies.splice(0, BATCH_REPLIES_MAX);
      if (replies.length > 0) {
        this.#sending = replies.length;
        await this.#process.stdin.writeParts(replies);
        this.#sending = 0;
        for (const { length } of replies) this.#waitingBytes -= length;
        this.#changes.notify();
      } else if (this.#isOver) return;
      else await changed;
    }
  }
}
