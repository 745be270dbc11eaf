/** Lists of sandboxes, as `msb ls` and `msb ps` show them. @module */
import {
  DatabaseError,
  type PublishedPort,
  Sandbox,
  type SandboxConfig,
  type SandboxHandle,
} from "../../mod.ts";
import type { CliContext } from "./context.ts";
import { formatAge, formatMiB } from "./format.ts";
import type { Output } from "./output.ts";
import { type Column, formatJson, formatTable } from "./table.ts";

/** One sandbox of a list. */
interface Row {
  readonly handle: SandboxHandle;
  /** `undefined` if the record is damaged: the sandbox is listed all the same, and can be removed. */
  readonly config: SandboxConfig | undefined;
}

/** Sandboxes that are asked for at a time. */
const PAGE = 100;

const STYLES = {
  creating: "yellow",
  running: "green",
  draining: "yellow",
  paused: "yellow",
  stopped: "dim",
  crashed: "red",
} as const;

/** Stands where a damaged record says nothing. */
const UNREADABLE = "?";

const COLUMNS: readonly Column<Row>[] = [
  { heading: "NAME", value: ({ handle }) => handle.name },
  {
    heading: "STATUS",
    value: ({ handle }) => handle.status,
    shown: ({ handle }, output) => formatStatus(handle, output),
  },
  { heading: "IMAGE", value: ({ config }) => config?.image ?? UNREADABLE },
  { heading: "CPUS", value: ({ config }) => config?.cpus ?? UNREADABLE, align: "right" },
  {
    heading: "MEMORY",
    value: ({ config }) => config?.memoryMiB ?? UNREADABLE,
    shown: ({ config }) => (config === undefined ? UNREADABLE : formatMiB(config.memoryMiB)),
    align: "right",
  },
  { heading: "PORTS", value: ({ config }) => config?.ports.map(formatPort).join(",") ?? UNREADABLE },
  {
    heading: "CREATED",
    value: ({ handle }) => handle.createdAt.toISOString(),
    shown: ({ handle }) => formatAge(handle.createdAt),
  },
];

/** How a list is to be shown. */
export interface ListFlags {
  readonly json: boolean;
  readonly quiet?: true | undefined;
}

/** Those sandboxes that `options` ask for, to the end of the list. */
export async function listSandboxes(options: Parameters<typeof Sandbox.list>[0]): Promise<SandboxHandle[]> {
  const handles: SandboxHandle[] = [];
  for await (const handle of Sandbox.list({ limit: PAGE, ...options })) handles.push(handle);
  return handles;
}

export async function showSandboxes(
  { stdout }: CliContext,
  handles: readonly SandboxHandle[],
  { json, quiet }: ListFlags,
  empty: string,
): Promise<void> {
  const rows = handles.map((handle) => ({ handle, config: readConfig(handle) }));
  if (json) await stdout.write(formatJson(rows.map(toJson)));
  else if (quiet === true) await stdout.write(handles.map(({ name }) => `${name}\n`).join(""));
  else await stdout.write(formatTable(stdout, COLUMNS, rows, empty));
}

function readConfig(handle: SandboxHandle): SandboxConfig | undefined {
  try {
    return handle.config();
  } catch (error) {
    if (error instanceof DatabaseError) return undefined;
    throw error;
  }
}

export function formatStatus(
  { status }: { readonly status: SandboxHandle["status"] },
  output: Output,
): string {
  return output.style(STYLES[status], status);
}

/** `"127.0.0.1:8080->80"`, with `/udp` behind it for UDP. */
export function formatPort({ protocol, bind, hostPort, guestPort }: PublishedPort): string {
  const address = bind.includes(":") ? `[${bind}]` : bind;
  return `${address}:${hostPort}->${guestPort}${protocol === "udp" ? "/udp" : ""}`;
}

function toJson({ handle, config }: Row) {
  const { name, id, status, statusReason, createdAt, updatedAt, labels } = handle;
  const { image, cpus, memoryMiB, ports } = config ?? {};
  return { name, id, status, statusReason, image, cpus, memoryMiB, ports, labels, createdAt, updatedAt };
}
