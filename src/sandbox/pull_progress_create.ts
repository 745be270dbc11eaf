/**
 * A creation whose image may take a while: the sandbox to come, and how its pull gets on.
 *
 * @module
 */

import type { BootCallOptions } from "../backend/backend.ts";
import { type PullProgress, type PullProgressEvents, PullProgressStream } from "../image/progress.ts";
import type { Sandbox } from "./sandbox.ts";

/**
 * What `SandboxBuilder.createWithPullProgress()` gives. Iterate over it for the events; they need not be read.
 *
 * @example
 * ```ts
 * const creation = Sandbox.builder("web").image("alpine").replace().createWithPullProgress();
 * for await (const event of creation) console.log(event.kind);
 * await using sandbox = await creation.awaitSandbox();
 * ```
 */
export class PullProgressCreate implements AsyncIterable<PullProgress> {
  /** Ends when the image is there, or the creation has failed. */
  readonly progress: PullProgressEvents;
  readonly #sandbox: Promise<Sandbox>;

  /** Use `SandboxBuilder.createWithPullProgress()`. */
  constructor(create: (call: Pick<BootCallOptions, "onPullProgress">) => Promise<Sandbox>) {
    const events = new PullProgressStream();
    this.progress = events.readable;
    const onPullProgress = (event: PullProgress) => {
      events.push(event);
      if (event.kind === "complete") events.close();
    };
    this.#sandbox = create({ onPullProgress }).finally(() => events.close());
    this.#sandbox.catch(() => {}); // awaitSandbox() shows it
  }

  /** The sandbox, once its agent answers. Errors: see `Sandbox.create()`. */
  awaitSandbox(): Promise<Sandbox> {
    return this.#sandbox;
  }

  /** Gives the events of the pull, until the sandbox is created or its creation fails. */
  [Symbol.asyncIterator](): AsyncIterator<PullProgress> {
    return this.progress[Symbol.asyncIterator]();
  }
}
