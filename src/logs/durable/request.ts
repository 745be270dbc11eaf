/** What a request of the Durable Streams protocol asks for, checked once. Everything in it is a stranger's. @module */
import { type ConfigIssue, InvalidConfigError } from "../../base/errors.ts";
import { QUERY_CHARS_MAX } from "../limits.ts";
import type { LogCursor } from "../types.ts";
import { COLLAPSE_CURSOR_PATTERN } from "./collapse_cursor.ts";
import { decodeOffset } from "./offset.ts";

/** How the answer goes on at the end of what is there. */
export type LiveMode = "none" | "long-poll" | "sse";

/** Where reading begins: at the oldest entry that is left, at the end, or after a cursor. */
export type StartPlace = "start" | "now" | { readonly cursor: LogCursor };

export interface DurableRead {
  readonly place: StartPlace;
  /** The offset as it was sent. */
  readonly offset: string;
  readonly live: LiveMode;
  /** The last `Stream-Cursor` that the client had. */
  readonly clientCursor: number | undefined;
}

/** The offset of the beginning, in requests only. */
const START = "-1";
const NOW = "now";

/** Whether the query of `url` is one of this protocol. */
export function hasDurableQuery({ searchParams }: URL): boolean {
  return searchParams.has("offset") || searchParams.has("live");
}

/**
 * @throws InvalidConfigError naming the parameters that are wrong
 * @throws InvalidCursorError if the offset is none
 */
export function parseDurableRead({ search, searchParams }: URL): DurableRead {
  if (search.length > QUERY_CHARS_MAX)
    throw new InvalidConfigError([
      { field: "query", problem: `must have at most ${QUERY_CHARS_MAX} characters` },
    ]);
  const issues: ConfigIssue[] = [];
  const single = (field: string) => {
    const [value, ...more] = searchParams.getAll(field);
    if (more.length > 0) issues.push({ field, problem: "must be given once" });
    return value;
  };
  const offset = single("offset");
  const live = parseLive(single("live"));
  const cursor = single("cursor");
  if (live === undefined) issues.push({ field: "live", problem: "must be long-poll or sse" });
  if (live !== "none" && offset === undefined)
    issues.push({ field: "offset", problem: "must be given for a live request" });
  if (cursor !== undefined && !COLLAPSE_CURSOR_PATTERN.test(cursor))
    issues.push({ field: "cursor", problem: "must be the Stream-Cursor of the last answer" });
  if (live === undefined || issues.length > 0) throw new InvalidConfigError(issues);
  return {
    place: parsePlace(offset ?? START),
    offset: offset ?? START,
    live,
    clientCursor: cursor === undefined ? undefined : Number(cursor),
  };
}

/** `undefined` if there is no such mode. */
function parseLive(value: string | undefined): LiveMode | undefined {
  if (value === undefined) return "none";
  return value === "long-poll" || value === "sse" ? value : undefined;
}

function parsePlace(offset: string): StartPlace {
  if (offset === START) return "start";
  if (offset === NOW) return "now";
  return { cursor: decodeOffset(offset) };
}
