/** What the tests of durable streams share: requests, and reading as a client of the protocol does. */
import assert from "node:assert/strict";
import { type LogResponseOptions, logResponse } from "../../../../src/logs/log_response.ts";
import type { LogStream } from "../../../../src/logs/log_stream.ts";
import type { LogStreamOptions } from "../../../../src/logs/types.ts";
import type { TestLogs } from "../support.ts";

export interface DurableLog {
  /** Every stream that was opened, in order. */
  readonly opened: readonly LogStream[];
  /** The answer to a request with this query. */
  get(query?: string, init?: RequestInit): Promise<Response>;
}

/** `logs` by the protocol. */
export function durableLog(
  logs: TestLogs,
  options: LogResponseOptions = {},
  streamOptions: LogStreamOptions = {},
): DurableLog {
  const opened: LogStream[] = [];
  const open = async (fromCursor: string | undefined) => {
    const stream = await logs.stream({ follow: true, ...streamOptions, fromCursor });
    opened.push(stream);
    return stream;
  };
  return {
    opened,
    get: (query = "", init = {}) =>
      logResponse(new Request(`http://localhost/log${query}`, init), open, {
        defaultFormat: "durable",
        ...options,
      }),
  };
}

export function nextOffset(response: Response): string {
  const offset = response.headers.get("stream-next-offset");
  assert.ok(offset !== null, `an answer ${response.status} without an offset`);
  return offset;
}

/** The bodies of all pages from `offset` on, up to the end of what is there. */
export async function readPages(log: DurableLog, offset = "-1"): Promise<Uint8Array[]> {
  const pages: Uint8Array[] = [];
  for (;;) {
    const response = await log.get(`?offset=${offset}`);
    assert.equal(response.status, 200);
    pages.push(await response.bytes());
    if (response.headers.get("stream-up-to-date") === "true") return pages;
    offset = nextOffset(response);
  }
}

/** An event as a client takes it. */
export interface ReceivedEvent {
  readonly name: string;
  readonly data: string;
}

/** By the rules of WHATWG HTML, section 9.2.6. Comments come as events without a name. */
export function parseEvents(text: string): ReceivedEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => {
      const fields = block.split("\n").map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")] as const;
      });
      const data = fields.filter(([field]) => field === "data").map(([, value]) => value);
      return { name: fields.find(([field]) => field === "event")?.[1] ?? "", data: data.join("\n") };
    });
}
