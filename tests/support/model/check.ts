/**
 * Everything that a home's sandboxes have of a machine, held against what its state database says of them: neither may have
 * more than the other. It is looked for where the kernel shows it, not where the code under test would look.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { reconcile, sweepLeftovers } from "../../../src/backend/local/reconcile.ts";
import { formatIpv4 } from "../../../src/base/ipv4.ts";
import { tapNameOf } from "../../../src/network/network_plan.ts";
import { parseStoredConfig, type SandboxConfig } from "../../../src/options/sandbox_options.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { isSameProcess } from "../../../src/platform/process_identity.ts";
import { SnapshotStore } from "../../../src/snapshot/store.ts";
import type { SandboxRecord, StateStore } from "../../../src/state/state_store.ts";
import { isLive } from "../../../src/state/status.ts";
import { RunFile, readIdentity } from "../../../src/vmm/run_directory/run_directory.ts";
import { mountsOf, processesOf, runRoot } from "../processes.ts";
import { ip } from "../vm/network_namespace.ts";
import { replay } from "./events.ts";

/** State of a socket that listens, in `/proc/net/tcp`; see include/net/tcp_states.h. */
const TCP_LISTEN = "0A";

const HISTORY_EVENTS_MAX = 200;

interface LiveSandbox {
  readonly record: SandboxRecord;
  readonly config: SandboxConfig;
}

/** Nothing goes on: state database, events, processes, directories, leases and, in a namespace, its devices must tell the same. */
export async function assertConsistent(state: StateStore, hasNamespace: boolean): Promise<void> {
  sweepLeftovers(state);
  await Promise.all(state.list({}).map((record) => reconcile(state, record)));
  const records = state.list({});
  assertHistory(state, records);
  const live = records
    .filter(({ status }) => isLive(status))
    .map((record) => ({ record, config: parseStoredConfig(record.configJson) }));
  assertProcesses(state.home, live);
  assertDirectories(state.home, records);
  assertLeases(state.home, live);
  if (hasNamespace) assertNamespace(state, live);
}

/** The last that happened to the sandboxes: what to read first when they are not consistent. */
export function recentHistory(state: StateStore): string {
  const after = state.eventLog.range().newest - HISTORY_EVENTS_MAX;
  return state.eventLog
    .read({ after: Math.max(after, 0), limit: HISTORY_EVENTS_MAX })
    .events.map(({ timestamp, name, sandboxId, action, attributes }) =>
      [timestamp.toISOString(), name, sandboxId, action, JSON.stringify(attributes)].join(" "),
    )
    .join("\n");
}

function assertHistory(state: StateStore, records: readonly SandboxRecord[]): void {
  const model = replay(state.eventLog.read({ after: 0, limit: 1_000_000 }).events);
  assertSame(
    records.map(({ id, name, status, bootNumber }) => [id, name, status, bootNumber]),
    [...model].map(([id, { name, status, boots }]) => [id, name, status, boots]),
    "what the events tell",
  );
}

function assertProcesses(home: string, live: readonly LiveSandbox[]): void {
  const directories = live.map(({ record }) => record.runDirectory ?? "");
  const machines = directories.map((directory) => readIdentity(join(directory, RunFile.machine))?.pid);
  const known = [...live.map(({ record }) => record.host?.pid), ...machines];
  const found = processesOf(home);
  const strangers = found.filter(({ pid }) => !known.includes(pid)).map(describeProcess);
  const missing = known.filter((pid) => !found.some((process) => process.pid === pid));
  assert.deepEqual({ strangers, missing }, { strangers: [], missing: [] }, "a host and an engine for each");
  const made = readdirSync(runRoot(home)).map((name) => join(runRoot(home), name));
  const strays = made.filter((directory) => !directories.includes(directory)).map(describeDirectory);
  const lost = directories.filter((directory) => !made.includes(directory));
  assert.deepEqual({ strays, lost }, { strays: [], lost: [] }, "run directories");
}

function describeDirectory(directory: string): string {
  const keeper = readIdentity(join(directory, RunFile.keeper));
  const state = keeper === undefined ? "none" : isSameProcess(keeper) ? "alive" : "dead";
  return `${directory}: ${readdirSync(directory).join(" ")}; keeper ${keeper?.pid}, ${state}`;
}

function describeProcess({
  pid,
  commandLine,
}: {
  readonly pid: number;
  readonly commandLine: string;
}): string {
  const read = (name: string) => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, "latin1").replaceAll("\0", " ").trim();
    } catch {
      return "gone";
    }
  };
  return `${pid} ${commandLine}: ${read("stat")}; waits in ${read("wchan")}, ${read("syscall")}`;
}

function assertDirectories(home: string, records: readonly SandboxRecord[]): void {
  assertSame(
    readdirSync(join(home, "sandboxes")),
    records.map(({ name }) => name),
    "directories",
  );
  for (const { id, name } of records) {
    const log = readFileSync(join(home, "sandboxes", name, "logs", "exec.log"), "utf8");
    assert.ok(log.split("\n", 1)[0]?.includes(id), `the directory of ${name} is its own`);
  }
  const snapshots = new SnapshotStore(home).list().map(({ descriptor }) => descriptor.name);
  assertSame(namesIn(join(home, "snapshots")), snapshots, "snapshots, all of them whole");
  assert.deepEqual(namesIn(join(home, "trash")), [], "nothing half made");
  assert.deepEqual(mountsOf(home), [], "mounts");
}

function assertLeases(home: string, live: readonly LiveSandbox[]): void {
  assertSame(
    leasesIn(home).map(({ sandboxId }) => sandboxId),
    live.filter(({ config }) => config.network.mode === "tap").map(({ record }) => record.id),
    "leases",
  );
}

/** The network namespace is the test's own: whatever is in it is the sandboxes'. */
function assertNamespace({ home }: StateStore, live: readonly LiveSandbox[]): void {
  const onTap = live.filter(({ config }) => config.network.mode === "tap");
  const devices = ip("-brief", "link").split("\n").map(firstWord);
  assertSame(
    devices.filter((name) => name !== "" && name !== "lo"),
    onTap.map(({ record }) => tapNameOf(record.id)),
    "TAP devices",
  );
  const rules = ip("rule")
    .split("\n")
    .map((line) => line.replace(/\s+/g, " ").trim());
  assertSame(
    rules.filter((rule) => /^[1-9]\d{0,2}:/.test(rule)), // the kernel's own are 0 and from 32766 on
    onTap.flatMap((sandbox) => rulesOf(home, sandbox)),
    "routing rules",
  );
  const ports = live.flatMap(({ config }) => config.ports.map(({ hostPort }) => hostPort));
  assertSame(listeningPorts(), ports, "published ports");
  const directories = live.map(({ record }) => `${record.runDirectory}/`);
  const strays = socketNames().filter((name) => !directories.some((directory) => name.startsWith(directory)));
  assert.deepEqual(strays, [], "sockets, abstract ones too");
}

/** As ip-rule(8) shows them. */
function rulesOf(home: string, { record, config }: LiveSandbox): string[] {
  if (config.network.mode !== "tap" || !config.network.isolated) return [];
  const address = formatIpv4(leasesIn(home).find(({ sandboxId }) => sandboxId === record.id)?.address ?? 0);
  return [
    `2: from all iif ${tapNameOf(record.id)} blackhole`,
    `2: from all to ${address} iif lo lookup main`,
    `3: from all to ${address} blackhole`,
  ];
}

interface LeaseRow {
  readonly sandboxId: string;
  readonly address: number;
}

/** All rows, whether or not anybody would still take them for leases. */
function leasesIn(home: string): LeaseRow[] {
  const database = new DatabaseSync(homePaths(home).state);
  try {
    const rows = database.prepare("SELECT sandbox_id, address FROM lease").all();
    return rows.map((row) => ({ sandboxId: String(row["sandbox_id"]), address: Number(row["address"]) }));
  } finally {
    database.close();
  }
}

/** See proc(5), `/proc/net/tcp`. */
function listeningPorts(): number[] {
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === TCP_LISTEN)
    .map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16));
}

/** Names of the unix sockets in this namespace; those of abstract ones begin with `@`. See proc(5), `/proc/net/unix`. */
function socketNames(): string[] {
  const lines = readFileSync("/proc/net/unix", "utf8").trim().split("\n").slice(1);
  return lines.map((line) => line.split(" ").slice(7).join(" ").trim()).filter((name) => name !== "");
}

/** Equal, in whatever order. */
function assertSame<T>(actual: readonly T[], expected: readonly T[], what: string): void {
  assert.deepEqual(actual.toSorted(), expected.toSorted(), what);
}

function firstWord(line: string): string {
  return line.split(/\s/, 1)[0] ?? "";
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // never made
  }
}
