/**
 * What was decided about a sandbox's connections, read from its log.
 *
 * @module
 */
import type { BackendSandbox } from "../../backend/backend.ts";
import { checkFields } from "../../base/parse_config.ts";
import type { FlowEntry } from "../../egress/flows/flow_log.ts";
import type { LogCursor, LogEntry } from "../../logs/mod.ts";

/** Which decisions to read. */
export interface NetworkFlowOptions {
  /** Waits for more at the end, until the sandbox has stopped. @default {false} */
  readonly follow?: boolean | undefined;
  /** Earliest time: a `Date`, an ISO 8601 string, or milliseconds since 1970. @default the beginning */
  readonly since?: Date | string | number | undefined;
  /** Where to continue: the cursor of a decision, or of a log entry. */
  readonly fromCursor?: LogCursor | undefined;
  /** Ends the reading with `AbortedError` (`aborted`) when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** What all records have. */
interface AnyRecord {
  /** When it was written down. */
  readonly timestamp: Date;
  /** The position behind it, for `fromCursor`. */
  readonly cursor: LogCursor;
}

/** A decision about a connection, a flow of datagrams, or a name; or how one ended. */
export interface NetworkFlow extends AnyRecord, Omit<FlowEntry, "destination" | "time"> {
  /** What this is. */
  readonly kind: "flow";
  /** Address of the other end. */
  readonly address: string;
  /** Port of the other end; 0 for echo requests. */
  readonly port: number;
}

/** Decisions that are not in the log, because there were more than it takes. */
export interface LostNetworkFlows extends AnyRecord {
  /** What this is. */
  readonly kind: "lost";
  /** How many. */
  readonly records: number;
}

/** A record of `SandboxNetwork.flows()`. */
export type NetworkFlowRecord = NetworkFlow | LostNetworkFlows;

const OPTIONS = { follow: true, since: true, fromCursor: true, signal: true } as const satisfies Record<
  keyof NetworkFlowOptions,
  true
>;

/** See `SandboxNetwork.flows()`. */
export function readFlows(
  sandbox: BackendSandbox,
  options: NetworkFlowOptions,
): AsyncIterableIterator<NetworkFlowRecord> {
  checkFields(options, OPTIONS, "options");
  return flowsOf(sandbox, options);
}

async function* flowsOf(
  sandbox: BackendSandbox,
  options: NetworkFlowOptions,
): AsyncIterableIterator<NetworkFlowRecord> {
  await using stream = await sandbox.openLogStream({ ...options, sources: ["network"] });
  for await (const entry of stream) yield recordOf(entry);
}

/** The writer is the VM host process, and a line is whole. */
function recordOf(entry: LogEntry): NetworkFlowRecord {
  const { timestamp, cursor } = entry;
  const record = JSON.parse(entry.text()) as
    | ({ kind: "flow" } & FlowEntry)
    | { kind: "lost"; records: number };
  if (record.kind === "lost") return { ...record, timestamp, cursor };
  const { destination, time: _time, ...flow } = record;
  return { ...flow, ...destination, timestamp, cursor };
}
