/**
 * What happened to the sandboxes of a home, in order: kept for a while, and read by any number of processes.
 *
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Database, Row } from "./database.ts";

/** Events kept; older ones are dropped. */
export const EVENTS_MAX = 100_000;

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
  readonly kept: EventRange;
  readonly events: readonly EventRecord[];
}

/** Which sandbox's events to read; all without. */
export interface EventFilter {
  readonly sandboxId?: string | undefined;
  readonly name?: string | undefined;
}

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
    this.#database.run(
      "DELETE FROM event WHERE sequence <= (SELECT MAX(sequence) FROM event) - ?",
      EVENTS_MAX,
    );
    this.#database.afterCommit(this.#onAppended);
  }

  /** The first `limit` events after `after`, oldest first, and which events of the home are kept at that moment. */
  read(options: EventFilter & { readonly after: number; readonly limit: number }): EventPage {
    const { where, parameters } = conditions(options);
    // One statement, so that all of it is of one moment.
    const rows = this.#database.all(
      `SELECT page.*, kept.* FROM (${KEPT}) AS kept LEFT JOIN
         (SELECT * FROM event WHERE sequence > ? ${where} ORDER BY sequence LIMIT ?) AS page
       ORDER BY page.sequence`,
      options.after,
      ...parameters,
      options.limit,
    );
    return { kept: decodeRange(rows[0]), events: rows.filter((row) => row["sequence"] !== null).map(decode) };
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
