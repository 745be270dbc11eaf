/** Imports point one way: the table of rooms, held against every import in the tree. @module */
import assert from "node:assert/strict";
import { test } from "../support/harness.ts";
import {
  type ImportSite,
  importsOf,
  modulesBelow,
  reachableFrom,
  readModule,
  withoutComments,
} from "./source_files.ts";

/** Which rooms a room may import from. Nothing else, except itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  platform: ["base"],
  ffi: ["platform", "base"],
  agent: ["platform", "base"],
  logs: ["platform", "base"],
  image: ["platform", "base"],
  state: ["platform", "base"],
  snapshot: ["platform", "base"],
  network: ["platform", "base"],
  volume: ["state", "platform", "base"],
  mount: ["ffi", "agent", "platform", "base"],
  egress: ["agent", "platform", "base"],
  vmm: ["ffi", "agent", "egress", "logs", "mount", "network", "volume", "state", "platform", "base"],
  options: ["agent", "egress", "image", "logs", "network", "state", "platform", "base"],
  "backend/local": [
    "backend",
    "options",
    "vmm",
    "ffi",
    "agent",
    "egress",
    "image",
    "logs",
    "mount",
    "network",
    "volume",
    "state",
    "snapshot",
    "platform",
    "base",
  ],
  backend: ["options", "agent", "logs", "platform", "base"],
  sandbox: ["backend", "options", "agent", "egress", "logs", "mount", "platform", "base"],
};

/** Rooms whose types cross the seam between faces and backends as plain data. */
const PLAIN_DATA: Readonly<Record<string, readonly string[]>> = {
  backend: ["egress", "image", "mount", "network", "snapshot", "state", "vmm"],
  sandbox: ["image", "network", "snapshot"],
};

/** Single modules that a room, or one module, may import from where its room may not. */
const EXCEPTIONS: readonly (readonly [from: string, to: string])[] = [
  ["backend", "src/state/errors.ts"],
  ["backend", "src/state/status.ts"],
  ["src/backend/default_backend.ts", "src/backend/local/local_backend.ts"],
  ["sandbox", "src/image/progress.ts"],
  ["sandbox", "src/network/errors.ts"],
  ["sandbox", "src/network/published_port.ts"],
  ["sandbox", "src/snapshot/errors.ts"],
  ["sandbox", "src/volume/errors.ts"],
  ["src/sandbox/image.ts", "src/image/store/image.ts"],
  ["src/sandbox/image.ts", "src/backend/local/image_usage.ts"],
];

/** The folders of `vmm` that run in the user's process; the rest belongs to the VM host process. */
const VMM_USER_SIDE = /^src\/vmm\/(?:launch\/|run_directory\/|host_protocol\.ts$|errors\.ts$)/;

/**
 * Which rooms inside `vmm` may import from each other; the files at its door are a room, too. `launch` starts
 * `host/start.ts` by its URL, which is no import.
 */
const VMM_ARROWS: Readonly<Record<string, readonly string[]>> = {
  door: [],
  run_directory: ["door"],
  engine: ["run_directory", "door"],
  network: ["engine", "run_directory", "door"],
  host: ["network", "engine", "run_directory", "door"],
  launch: ["engine", "run_directory", "door"], // the doctor looks for the engines' programs
};

/** Packages that a room may import; the command line tool's are its own, so that the library never loads them. */
const PACKAGES: ReadonlySet<string> = new Set(["dns-packet", "zod", "tar-stream"]);
const CLI_PACKAGES: ReadonlySet<string> = new Set([
  "@commander-js/extra-typings",
  "@modelcontextprotocol/server",
  "@modelcontextprotocol/server/stdio",
  "cli-progress",
  "cli-table3",
]);
/** Schemas of tools are zod's, which the library has anyway. */
const CLI_IMPORTS: ReadonlySet<string> = new Set([...CLI_PACKAGES, "zod"]);

/** Rooms that may name the runtime. */
const RUNTIME_ROOMS: ReadonlySet<string> = new Set(["platform", "ffi"]);
const RUNTIME_NAMES = /\bBun\.|\bDeno\.|"bun:|"(?:Bun|Deno)" in /;

/** Modules that need each other: what one makes, the other hands out. A cycle that is not one of these is a fault. */
const CYCLES: readonly (readonly string[])[] = [
  ["src/sandbox/builder.ts", "src/sandbox/handle.ts", "src/sandbox/list.ts", "src/sandbox/sandbox.ts"],
];

/** Modules that the VM host process starts from: its main thread, and the thread that becomes the VM. */
const HOST_ENTRIES: readonly string[] = ["src/vmm/host/start.ts", "src/vmm/engine/krun/krun_worker.ts"];

/** What they take stays in each VM host process: 0.7 and 0.5 MB on Bun. Web Crypto does what it needs of the first. */
const HEAVY_MODULES: ReadonlySet<string> = new Set(["node:crypto", "node:zlib"]);

const LINES_MAX = 400;

const sources = [...modulesBelow("src"), "cli.ts"];

test("imports between rooms point along the arrows", () => {
  const wrong = sources.flatMap((file) =>
    importsOf(file, { byUrl: true }).filter((site) => !isAllowed(site)),
  );
  assert.deepEqual(wrong.map(describe), []);
});

test("imports between the rooms of vmm point along the arrows", () => {
  const wrong = modulesBelow("src/vmm").flatMap((file) =>
    importsOf(file).filter(({ target, isOurs }) => {
      const [from, to] = [vmmRoomOf(file), vmmRoomOf(target)];
      return isOurs && to !== undefined && from !== to && !VMM_ARROWS[from ?? ""]?.includes(to);
    }),
  );
  assert.deepEqual(wrong.map(describe), []);
});

test("imports of other packages are those that the project depends on", () => {
  const wrong = sources.flatMap((file) =>
    importsOf(file).filter(
      ({ isOurs, target, file: from }) =>
        !isOurs &&
        !target.startsWith("node:") &&
        !(roomOf(from) === "cli" ? CLI_IMPORTS : PACKAGES).has(target) &&
        !(target.startsWith("bun:") && RUNTIME_ROOMS.has(roomOf(from))),
    ),
  );
  assert.deepEqual(wrong.map(describe), []);
});

test("rooms other than platform and ffi name neither Bun nor Deno", () => {
  const wrong = sources
    .filter((file) => !RUNTIME_ROOMS.has(roomOf(file)))
    .flatMap((file) =>
      withoutComments(readModule(file))
        .split("\n")
        .flatMap((line, index) => (RUNTIME_NAMES.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
    );
  assert.deepEqual(wrong, []);
});

test("modules import each other in no cycle but the known ones", () => {
  const cycles = findCycles([...sources, "mod.ts"]);
  assert.deepEqual(cycles, CYCLES);
});

for (const entry of HOST_ENTRIES) {
  test(`${entry} reaches no package, so that the VM host process starts without node_modules`, () => {
    const { foreign } = reachableFrom(entry);
    const wrong = foreign.filter(({ target }) => !target.startsWith("node:") && !target.startsWith("bun:"));
    assert.deepEqual(wrong.map(describe), []);
  });

  test(`${entry} reaches no module of the runtime that costs every sandbox half a megabyte`, () => {
    const { foreign } = reachableFrom(entry);
    assert.deepEqual(foreign.filter(({ target }) => HEAVY_MODULES.has(target)).map(describe), []);
  });

  test(`${entry} reaches neither the image room nor the sandbox room`, () => {
    const rooms = new Set([...reachableFrom(entry).modules].map(roomOf));
    assert.deepEqual(
      [...rooms].filter((room) => room === "image" || room === "sandbox"),
      [],
    );
  });
}

test("mod.ts never reaches what loads libkrun, nor the command line tool", () => {
  const { modules, foreign } = reachableFrom("mod.ts");
  assert.deepEqual(foreign.filter(({ target }) => CLI_PACKAGES.has(target)).map(describe), []);
  assert.deepEqual(
    [...modules].filter((file) => roomOf(file) === "cli"),
    [],
  );
  const wrong = [...modules].filter(
    (file) => file.startsWith("src/ffi/libkrun.") || HOST_ENTRIES.includes(file),
  );
  assert.deepEqual(wrong, []);
});

test("mod.ts only re-exports", () => {
  const statements = withoutComments(readModule("mod.ts"))
    .split(";")
    .map((text) => text.trim())
    .filter((text) => text !== "");
  assert.deepEqual(
    statements.filter((text) => !/^export (?:type )?(?:\*|\{[^}]*\}) from "\.\/src\/[^"]+"$/.test(text)),
    [],
  );
});

test(`modules have fewer than ${LINES_MAX} lines`, () => {
  const long = ["src", "bench", "scripts", "examples", "tests"]
    .flatMap((directory) => modulesBelow(directory))
    .map((file) => ({ file, lines: readModule(file).trimEnd().split("\n").length }))
    .filter(({ lines }) => lines >= LINES_MAX);
  assert.deepEqual(long, []);
});

test("module names are snake_case", () => {
  assert.deepEqual(
    sources.filter((file) => !/^(?:[a-z0-9_]+\/)*[a-z0-9_]+\.ts$/.test(file)),
    [],
  );
});

test("importsOf() sees every form of import, and no comment", () => {
  // The arrows are only as good as the reader of imports: this file has most forms itself.
  const here = importsOf("tests/contract/folder_arrows_test.ts");
  assert.deepEqual(
    here.map(({ target, line }) => [target, line]),
    [
      ["node:assert/strict", 2],
      ["tests/support/harness.ts", 3],
      ["tests/contract/source_files.ts", 4],
    ],
  );
  const krun = importsOf("src/vmm/engine/krun/krun_thread.ts", { byUrl: true }).map(({ target }) => target);
  assert.ok(krun.includes("src/vmm/engine/krun/krun_worker.ts"), krun.join());
});

function roomOf(file: string): string {
  if (file.startsWith("src/backend/local/")) return "backend/local";
  return file.startsWith("src/") ? (file.split("/")[1] ?? "") : file;
}

/** The room of a file of `vmm`, inner folders included; `undefined` for another's. */
function vmmRoomOf(file: string): string | undefined {
  const [, room] = /^src\/vmm\/(?:(\w+)\/)?(?:\w+\/)?\w+\.ts$/.exec(file) ?? [undefined, undefined];
  return file.startsWith("src/vmm/") ? (room ?? "door") : undefined;
}

function isAllowed({ file, target, isOurs, isTypeOnly }: ImportSite): boolean {
  if (!isOurs) return true;
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to) return true;
  if (from === "cli.ts") return to === "cli";
  if (from === "cli") return to === "mod.ts";
  if (EXCEPTIONS.some(([source, goal]) => (source === from || source === file) && goal === target))
    return true;
  if (isTypeOnly && PLAIN_DATA[from]?.includes(to) === true) return true;
  if (from === "backend/local" && to === "vmm") return VMM_USER_SIDE.test(target);
  return ARROWS[from]?.includes(to) ?? false;
}

function describe({ file, line, target }: ImportSite): string {
  return `${file}:${line} imports ${target}`;
}

/** Groups of modules that reach each other at run time: the strongly connected components (Tarjan 1972). */
function findCycles(files: readonly string[]): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (file: string): number => {
    const index = order.size;
    order.set(file, index);
    low.set(file, index);
    stack.push(file);
    for (const { target, isOurs, isTypeOnly } of importsOf(file)) {
      if (!isOurs || isTypeOnly) continue;
      if (!order.has(target)) low.set(file, Math.min(low.get(file) ?? index, visit(target)));
      else if (stack.includes(target))
        low.set(file, Math.min(low.get(file) ?? index, order.get(target) ?? index));
    }
    const lowest = low.get(file) ?? index;
    if (lowest === index) {
      const group = stack.splice(stack.indexOf(file)).sort();
      if (group.length > 1) cycles.push(group);
    }
    return lowest;
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return cycles.sort();
}
