/**
 * What happens to sandboxes, as a stream: of one or of all, from now on or from some time ago, in whichever process it
 * happened.
 *
 * Events lie in the state database, and each stream reads on from where it is: nobody waits for a reader. One that is so slow
 * that events were dropped before it came to them is told how many those were.
 *
 * @module
 */
import { z } from "zod";
import { LOOK_INTERVAL_MS } from "../backend/local/lifecycle.ts";
import { openState, reconcileLive } from "../backend/local/local_sandbox.ts";
import { AbortedError, InvalidConfigError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import type { DirectoryWatch } from "../platform/file_watch.ts";
import type { EventFilter } from "../state/event_log.ts";
import type { StateStore } from "../state/state_store.ts";
import type { SandboxAction, SandboxNote } from "../state/status.ts";

/** Events that are read from the state database at a time. */
const PAGE_EVENTS = 256;

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
 * - `stopped`: it has ended in order, or was killed on purpose; `reason`.
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
  readonly action: SandboxEventAction;
  readonly timestamp: Date;
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
  const state = openState();
  const reader = new EventReader(state, firstPosition(state, since, follow), { sandboxId, name });
  const left = new AbortController();
  const ended = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal]);
  return new ReadableStream<SandboxEvent>(
    {
      async pull(controller) {
        const event = await reader.next(follow, ended);
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

/** Where a reader begins. */
interface EventPosition {
  /** It reads the events after this one. */
  readonly after: number;
  /** It has missed those after this one that are not kept. */
  readonly missedAfter: number;
}

function firstPosition(state: StateStore, since: number | Date | undefined, follow: boolean): EventPosition {
  const { oldest, newest } = state.eventLog.range();
  // Who asks for what is kept, all of it or since some time, has not missed what was dropped before.
  if (since instanceof Date) return { after: state.eventLog.before(since), missedAfter: newest };
  if (since === undefined) return { after: follow ? newest : oldest - 1, missedAfter: newest };
  if (since <= newest) return { after: since, missedAfter: since };
  // Nobody has seen that event, or it was another home's: what comes until then would be left out without a word.
  throw new InvalidConfigError([
    { field: "since", problem: `must be at most ${newest}, the newest event's: current value is ${since}` },
  ]);
}

/** Reads on from one position. */
class EventReader {
  readonly #state: StateStore;
  readonly #filter: EventFilter;
  readonly #watch: DirectoryWatch;
  /** What was dropped up to there was never asked for. */
  readonly #missedAfter: number;
  #after: number;
  #page: SandboxEvent[] = [];

  constructor(state: StateStore, { after, missedAfter }: EventPosition, filter: EventFilter) {
    this.#state = state;
    this.#after = after;
    this.#missedAfter = missedAfter;
    this.#filter = filter;
    this.#watch = state.watch();
  }

  /** The next event; `undefined` at the end, which with `follow` is only when `ended` aborts. */
  async next(follow: boolean, ended: AbortSignal): Promise<SandboxEvent | undefined> {
    let event: SandboxEvent | undefined;
    try {
      event = await this.#find(follow, ended);
      return event;
    } finally {
      if (event === undefined) this.close(); // at the end, or in the event of an error
    }
  }

  async #find(follow: boolean, ended: AbortSignal): Promise<SandboxEvent | undefined> {
    while (!ended.aborted) {
      const event = this.#page.shift();
      if (event !== undefined) return event;
      const { version } = this.#watch;
      await lookAround(this.#state);
      this.#read();
      if (this.#page.length > 0) continue;
      if (!follow) return undefined;
      await this.#watch.changed(version, LOOK_INTERVAL_MS, ended);
    }
    return undefined;
  }

  close(): void {
    this.#watch[Symbol.dispose]();
  }

  #read(): void {
    const [after, missedAfter] = [this.#after, Math.max(this.#after, this.#missedAfter)];
    const query = { ...this.#filter, after, missedAfter, limit: PAGE_EVENTS };
    const { events, readTo, missed } = this.#state.eventLog.read(query);
    this.#after = readTo;
    // The table of actions is ours alone: what is in the database is one of them.
    const page = events.map((event) => ({ ...event, action: event.action as SandboxEventAction }));
    if (missed > 0) {
      const behindGap = page.findIndex(
        ({ sequence }, index) => sequence > Math.max(page[index - 1]?.sequence ?? 0, missedAfter) + 1,
      );
      const place = behindGap === -1 ? page.length : behindGap;
      const sequence = (page[place]?.sequence ?? readTo + 1) - 1;
      page.splice(place, 0, missedEvent(sequence, missed));
    }
    this.#page.push(...page);
  }
}

function missedEvent(sequence: number, count: number): SandboxEvent {
  return {
    sequence,
    sandboxId: "",
    name: "",
    action: "missed",
    timestamp: new Date(),
    attributes: { count },
  };
}

const looks = new Map<string, { readonly at: number; readonly done: Promise<void> }>();

/** Notes sandboxes that have crashed, of which no event would tell; at most once in a while for each home. */
function lookAround(state: StateStore): Promise<void> {
  const now = performance.now();
  const last = looks.get(state.home);
  if (last !== undefined && now - last.at < LOOK_INTERVAL_MS) return last.done;
  const done = reconcileLive(state);
  looks.set(state.home, { at: now, done });
  return done;
}
