/**
 * What happens to sandboxes, as a stream: of one or of all, from now on or from some time ago, in whichever process it
 * happened.
 *
 * Events are in the state database, and each stream reads on from its own position: no writer waits for a reader. A
 * stream so slow that events were dropped before it reached them gets an event with their number.
 *
 * @module
 */
import { z } from "zod";
import type { EventFeed, SandboxAction, SandboxNote } from "../backend/backend.ts";
import { defaultBackend } from "../backend/default_backend.ts";
import { AbortedError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";

/**
 * What happened:
 *
 * - `created`: the name is taken.
 * - `starting`: a boot has begun; `bootNumber`.
 * - `ready`: the guest's agent answered.
 * - `running`: a program runs in it, where none did.
 * - `idle`: no program runs in it any more; `exitCode`, and `signal` if one ended the last of them. However fast they
 *   start and end, there are at most ten of these two a second: what came in between is left out, in pairs.
 * - `paused`, `resumed`.
 * - `stopping`: the stop sequence has begun; `cause`.
 * - `stopped`: it stopped gracefully, or was killed on purpose; `reason`.
 * - `crashed`: it has ended by itself, or did not start; `reason`.
 * - `failed`: it could not be created; `error`. Nothing of it is left. It may have been `ready`, if its creation was aborted
 *   in that moment.
 * - `removed`: it is gone, with its disk and logs.
 * - `displaced`: a disk of that name lay in the home, of a sandbox that the state database did not know; it was moved to
 *   `directory`.
 * - `missed`: this reader was too slow: `count` events (of all sandboxes) were dropped before it came to them.
 */
export type SandboxEventAction = SandboxAction | SandboxNote | "missed";

/** Something that happened to a sandbox. */
export interface SandboxEvent {
  /** Grows from event to event; hand it to {@linkcode SandboxEventOptions.since} to go on behind it. */
  readonly sequence: number;
  /** `""` for `missed`. */
  readonly sandboxId: string;
  /** `""` for `missed`. */
  readonly name: string;
  /** What happened. */
  readonly action: SandboxEventAction;
  /** When it happened. */
  readonly timestamp: Date;
  /** Details of the action, as {@linkcode SandboxEventAction} lists them. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Which events to read. */
export interface SandboxEventOptions {
  /** Only those of the sandbox with this id. */
  readonly id?: string | undefined;
  /** Only those of sandboxes of this name, of all that have had it. */
  readonly name?: string | undefined;
  /** Whether to wait for more at the end. @default {false} */
  readonly follow?: boolean | undefined;
  /**
   * Where to begin: behind the event with that `sequence`, which is at most the newest event's, or at that time.
   * @default all that are kept; with `follow`, those from now on
   */
  readonly since?: number | Date | undefined;
  /** Ends the stream with `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

const schema = z.strictObject({
  id: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
  follow: z.boolean().default(false),
  since: z.union([z.int().min(0), z.date()]).optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

/**
 * What happens to the sandboxes of this home, whichever process does it. `Sandbox.events()` is the same.
 *
 * @throws {InvalidConfigError}
 *
 * @example
 * ```ts with web
 * const events = Sandbox.events({ name: "web", follow: true });
 * await (await Sandbox.get("web")).requestStop();
 * for await (const event of events) {
 *   console.log(event.timestamp, event.action, event.attributes);
 *   if (event.action === "stopped") break;
 * }
 * ```
 */
export function sandboxEvents(options: SandboxEventOptions = {}): ReadableStream<SandboxEvent> {
  const { follow, since, id: sandboxId, name } = parseConfig(schema, options, "options");
  const { signal } = options; // as it came: zod's type of it is not every runtime's
  const reader = new EventReader(defaultBackend().openEvents({ sandboxId, name, since, follow }));
  const left = new AbortController();
  const ended = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  return new ReadableStream<SandboxEvent>(
    {
      async pull(controller) {
        const event = await reader.next(ended);
        if (event !== undefined) return controller.enqueue(event);
        if (signal?.aborted) controller.error(new AbortedError("reading events", signal.reason));
        else if (!left.signal.aborted) controller.close();
      },
      cancel() {
        left.abort();
        reader.close();
      },
    },
    { highWaterMark: 0 }, // read only what somebody wants to have
  );
}

/** Hands out the events of a feed one at a time. */
class EventReader {
  readonly #feed: EventFeed;
  readonly #page: SandboxEvent[] = [];

  constructor(feed: EventFeed) {
    this.#feed = feed;
  }

  /** The next event; `undefined` at the end, or when `signal` fires. */
  async next(signal: AbortSignal): Promise<SandboxEvent | undefined> {
    let event: SandboxEvent | undefined;
    try {
      if (signal.aborted) return undefined;
      if (this.#page.length === 0) await this.#read(signal);
      event = this.#page.shift();
      return event;
    } finally {
      if (event === undefined) this.close(); // at the end, or after an error
    }
  }

  close(): void {
    this.#feed.close();
  }

  async #read(signal: AbortSignal): Promise<void> {
    // The table of actions is ours alone: what a backend reports is one of them.
    for (const event of (await this.#feed.next(signal)) ?? [])
      this.#page.push({ ...event, action: event.action as SandboxEventAction });
  }
}
