/**
 * What happened to the sandboxes of a home, in order: kept for a while, and read by any number of processes.
 *
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Database, Row } from "./database.ts";

/** Events kept of all sandboxes; the oldest ones are dropped. */
export const EVENTS_MAX = 100_000;
/** Events kept of one sandbox, so that one that starts and ends all the time does not push out those of the others. */
export const SANDBOX_EVENTS_MAX = 10_000;

/** Something that happened to a sandbox. */
export interface EventRecord {
  /** One more than that of the event before, in this home. */
  readonly sequence: number;
  readonly sandboxId: string;
  readonly name: string;
  readonly action: string;
  readonly timestamp: Date;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** An event that is about to be written. */
export interface NewEvent {
  readonly sandboxId: string;
  readonly name: string;
  readonly action: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** @default now */
  readonly timestamp?: Date;
}

/** Sequence numbers of the oldest and the newest event that is kept; `{ oldest: 1, newest: 0 }` if there is none. */
export interface EventRange {
  readonly oldest: number;
  readonly newest: number;
}

/** What was read at one moment. */
export interface EventPage {
  readonly events: readonly EventRecord[];
  /** Where to read on. */
  readonly readTo: number;
  /** Events of all sandboxes that were dropped before the reader came to them. */
  readonly missed: number;
}

/** Which sandbox's events to read; all without. */
export interface EventFilter {
  readonly sandboxId?: string | undefined;
  readonly name?: string | undefined;
}

/** Which events to read. */
export interface EventQuery extends EventFilter {
  readonly after: number;
  readonly limit: number;
  /** Events up to this one do not count as missed. @default `after` */
  readonly missedAfter?: number | undefined;
}

/** The tally of all sandboxes together. No sandbox has an empty id. */
const ALL_SANDBOXES = "";

const KEPT = "SELECT MIN(sequence) AS oldest, MAX(sequence) AS newest FROM event";

/** The events in the state database. */
export class EventLog {
  readonly #database: Database;
  readonly #onAppended: () => void;

  /** `onAppended` is called after each transaction that has appended events. */
  constructor(database: Database, onAppended: () => void = () => {}) {
    this.#database = database;
    this.#onAppended = onAppended;
  }

  /** Writes one event; to be called in the transaction that makes it true. */
  append({ sandboxId, name, action, attributes, timestamp = new Date() }: NewEvent): void {
    this.#database.run(
      "INSERT INTO event (sandbox_id, name, action, timestamp, attributes) VALUES (?, ?, ?, ?, ?)",
      sandboxId,
      name,
      action,
      timestamp.getTime(),
      JSON.stringify(attributes),
    );
    this.#dropOldest(sandboxId);
    this.#database.afterCommit(this.#onAppended);
  }

  #dropOldest(sandboxId: string): void {
    const oldest = "(SELECT min(sequence) FROM event WHERE sandbox_id = ?)";
    if (this.#kept(sandboxId) > SANDBOX_EVENTS_MAX)
      this.#database.run(`DELETE FROM event WHERE sequence = ${oldest}`, sandboxId);
    if (this.#kept(ALL_SANDBOXES) > EVENTS_MAX)
      this.#database.run("DELETE FROM event WHERE sequence = (SELECT min(sequence) FROM event)");
  }

  #kept(sandboxId: string): number {
    return Number(
      this.#database.get("SELECT kept FROM event_tally WHERE sandbox_id = ?", sandboxId)?.["kept"],
    );
  }

  /** The first `limit` events after `after`, oldest first, and how many were dropped before they could be read. */
  read({ after, limit, missedAfter = after, ...filter }: EventQuery): EventPage {
    return this.#database.snapshot(() => {
      const { where, parameters } = conditions(filter);
      const events = this.#database
        .all(
          `SELECT * FROM event WHERE sequence > ? ${where} ORDER BY sequence LIMIT ?`,
          after,
          ...parameters,
          limit,
        )
        .map(decode);
      // Events that the filter leaves out count as read, too: otherwise they would count as missed later.
      const end = events.length < limit ? this.range().newest : (events.at(-1)?.sequence ?? after);
      const readTo = Math.max(after, end);
      return { events, readTo, missed: this.#dropped(filter, Math.max(after, missedAfter), readTo) };
    });
  }

  /**
   * How many events, of all sandboxes, with a number above `after` and up to `to` were dropped; 0 if the filter would have
   * let none of them through.
   */
  #dropped(filter: EventFilter, after: number, to: number): number {
    const { where, parameters } = conditions(filter);
    const scope = where === "" ? `AND sandbox_id = '${ALL_SANDBOXES}'` : where;
    // A sandbox without a tally has no event left: those that it had are older than all that are kept.
    const row = this.#database.get(
      `SELECT max(
         coalesce((SELECT max(dropped_to) FROM event_tally WHERE true ${scope}), 0),
         coalesce((SELECT min(sequence) FROM event), 1) - 1) AS dropped_to`,
      ...parameters,
    );
    const droppedTo = Math.min(Number(row?.["dropped_to"]), to);
    if (droppedTo <= after) return 0;
    const kept = this.#database.get(
      "SELECT count(*) AS count FROM event WHERE sequence > ? AND sequence <= ?",
      after,
      droppedTo,
    );
    return droppedTo - after - Number(kept?.["count"]);
  }

  /** The newest event of a sandbox that is one of `actions`. */
  latest(sandboxId: string, actions: readonly string[]): EventRecord | undefined {
    const marks = actions.map(() => "?").join(", ");
    const row = this.#database.get(
      `SELECT * FROM event WHERE sandbox_id = ? AND action IN (${marks}) ORDER BY sequence DESC LIMIT 1`,
      sandboxId,
      ...actions,
    );
    return row === undefined ? undefined : decode(row);
  }

  range(): EventRange {
    return decodeRange(this.#database.get(KEPT));
  }

  /** The sequence number of the last event before `time`, or of the one before the oldest that is kept. */
  before(time: Date): number {
    const row = this.#database.get(
      "SELECT MIN(sequence) - 1 AS before FROM event WHERE timestamp >= ?",
      time.getTime(),
    );
    const before = row?.["before"];
    return typeof before === "number" ? before : this.range().newest;
  }
}

function conditions({ sandboxId, name }: EventFilter): { where: string; parameters: string[] } {
  const given = [
    ["sandbox_id", sandboxId],
    ["name", name],
  ].filter((pair): pair is [string, string] => pair[1] !== undefined);
  return {
    where: given.map(([column]) => `AND ${column} = ?`).join(" "),
    parameters: given.map(([, value]) => value),
  };
}

function decodeRange(row: Row | undefined): EventRange {
  return { oldest: Number(row?.["oldest"] ?? 1), newest: Number(row?.["newest"] ?? 0) };
}

function decode(row: Row): EventRecord {
  const { sequence, sandbox_id: sandboxId, name, action, timestamp, attributes } = row;
  assert(typeof sequence === "number" && typeof timestamp === "number", "an event's numbers");
  assert(typeof sandboxId === "string" && typeof name === "string", "an event's sandbox");
  assert(typeof action === "string" && typeof attributes === "string", "an event's texts");
  return {
    sequence,
    sandboxId,
    name,
    action,
    timestamp: new Date(timestamp),
    attributes: decodeAttributes(attributes),
  };
}

/** Attributes that are damaged are left out: readers could not get past the event otherwise. */
function decodeAttributes(json: string): EventRecord["attributes"] {
  try {
    const attributes: unknown = JSON.parse(json);
    if (typeof attributes === "object" && attributes !== null) return { ...attributes };
  } catch {
    // as below
  }
  return {};
}
