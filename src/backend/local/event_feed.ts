/** Events of this machine's sandboxes, from one position on. @module */
import { InvalidConfigError } from "../../base/errors.ts";
import type { EventPage } from "../../state/event_log.ts";
import type { StateStore } from "../../state/state_store.ts";
import type { EventFeed, EventQuery, EventRecord } from "../backend.ts";
import { LOOK_INTERVAL_MS } from "../wait_for.ts";
import { reconcileLive } from "./reconcile.ts";

/** Events that are read from the state database at a time. */
const PAGE_EVENTS = 256;

/** @throws {InvalidConfigError} if `since` is a sequence number that no event has yet. */
export function openEventFeed(state: StateStore, query: EventQuery): EventFeed {
  const { follow, sandboxId, name } = query;
  const begin = firstPosition(state, query);
  let { after } = begin;
  const watch = state.watch();

  const read = (): readonly EventRecord[] => {
    const missedAfter = Math.max(after, begin.missedAfter);
    const page = state.eventLog.read({ sandboxId, name, after, missedAfter, limit: PAGE_EVENTS });
    after = page.readTo;
    return withGap(page, missedAfter);
  };

  return {
    async next(signal) {
      while (!signal.aborted) {
        const { version } = watch;
        await lookAround(state);
        const events = read();
        if (events.length > 0) return events;
        if (!follow) return undefined;
        await watch.changed(version, LOOK_INTERVAL_MS, signal);
      }
      return undefined;
    },
    close: () => watch[Symbol.dispose](),
  };
}

/** Where a reader begins. */
interface EventPosition {
  /** It reads the events after this one. */
  readonly after: number;
  /** It has missed those after this one that are not kept. */
  readonly missedAfter: number;
}

function firstPosition(state: StateStore, { since, follow }: EventQuery): EventPosition {
  const { oldest, newest } = state.eventLog.range();
  // A reader of what is kept, all of it or since some time, has not missed what was dropped before.
  if (since instanceof Date) return { after: state.eventLog.before(since), missedAfter: newest };
  if (since === undefined) return { after: follow ? newest : oldest - 1, missedAfter: newest };
  if (since <= newest) return { after: since, missedAfter: since };
  // No such event was ever seen, or it was another home's: the events until then would be left out silently.
  throw new InvalidConfigError([
    { field: "since", problem: `must be at most ${newest}, the newest event's: current value is ${since}` },
  ]);
}

/** The events of a page, with one that tells of missed events where the gap is. */
function withGap(page: EventPage, missedAfter: number): readonly EventRecord[] {
  const { events, readTo, missed } = page;
  if (missed === 0) return events;
  const behindGap = events.findIndex(
    ({ sequence }, index) => sequence > Math.max(events[index - 1]?.sequence ?? 0, missedAfter) + 1,
  );
  const place = behindGap === -1 ? events.length : behindGap;
  const sequence = (events[place]?.sequence ?? readTo + 1) - 1;
  return events.toSpliced(place, 0, {
    sequence,
    sandboxId: "",
    name: "",
    action: "missed",
    timestamp: new Date(),
    attributes: { count: missed },
  });
}

const looks = new Map<string, { readonly at: number; readonly done: Promise<void> }>();

/** Records crashes that were not noticed yet, so that they become events; at most once in a while for each home. */
function lookAround(state: StateStore): Promise<void> {
  const now = performance.now();
  const last = looks.get(state.home);
  if (last !== undefined && now - last.at < LOOK_INTERVAL_MS) return last.done;
  const done = reconcileLive(state);
  looks.set(state.home, { at: now, done });
  return done;
}
