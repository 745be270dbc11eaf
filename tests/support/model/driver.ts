/**
 * A process that leads sandboxes through random steps, several at a time, as a program of a user's would. Their VMs are
 * those of `fake_qemu.ts`. What it starts attached ends when it does, which may be by SIGKILL.
 *
 * Run as a program, it takes one {@linkcode DriverOrder} a line, and answers with a line for each step that it has done.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  MicrosandboxError,
  Sandbox,
  type SandboxHandle,
  type SandboxOptions,
  Snapshot,
} from "../../../mod.ts";
import { openState } from "../../../src/backend/local/local_sandbox.ts";
import { LineChild } from "../../../src/platform/child.ts";
import { LineQueue } from "../../../src/platform/line_queue.ts";
import { killProcess } from "../../../src/platform/process_identity.ts";
import { isLive } from "../../../src/state/status.ts";
import { RunFile, readIdentity } from "../../../src/vmm/run_directory/run_directory.ts";
import { randomOf, type SeededRandom } from "../random.ts";

/** What sandboxes are made of. */
export interface ModelWorld {
  /** Path of an image. */
  readonly image: string;
  /** Whether they may have TAP devices and published ports, which are nobody else's concern. */
  readonly hasNetworks: boolean;
}

interface DriverOrder {
  readonly seed: number;
  readonly steps: number;
  readonly world: ModelWorld;
}

/** Steps that go on at the same time in one driver. */
const WORKERS = 2;
const NAMES = ["a", "b", "c"];
const SNAPSHOTS = ["first", "second"];
const ACTIONS = [
  ...["create", "create", "replace", "replace", "replace", "start", "start", "start", "start"],
  ...["stop", "stop", "kill", "killHost", "killEngine", "remove", "remove", "look", "list"],
  ...["snapshot", "snapshot", "snapshot", "removeSnapshot"],
] as const;
/** Networks with room for one sandbox, and for all. */
const CIDRS = ["10.9.0.0/30", "10.9.1.0/29"];
const PORT = { hostPort: 8_001, guestPort: 80 };
const MEMORY_MIB = 64;
const DISK_MIB = 64;
/** What stands in for QEMU takes milliseconds, or hangs. */
const BOOT_TIMEOUT_MS = 1_500;
const GRACE_MS = 100;
/** What may be said to those who come too late, to those whose boot hangs or is killed, and where all is taken. */
const EXPECTED_CODES = [
  ...[
    "sandboxNotFound",
    "sandboxReplaced",
    "sandboxStillRunning",
    "sandboxNotRunning",
    "sandboxAlreadyExists",
  ],
  ...["bootStart", "networkExhausted", "portInUse"],
  ...["snapshotNotFound", "snapshotAlreadyExists", "unsupported"], // no guest here holds its disk still
];

const PROGRAM = fileURLToPath(import.meta.url);
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

/** A driver as the test sees it. */
export class Driver {
  readonly #child: LineChild;

  /** Its home is the present one. */
  static async start(): Promise<Driver> {
    const args = "Bun" in globalThis ? [PROGRAM] : ["run", "-A", "--no-check", "--quiet", PROGRAM];
    const env = { ...process.env, MSB_TEST_DRIVER: "1" } as Record<string, string>;
    return new Driver(await LineChild.spawn({ file: process.execPath, args, env, cwd: PROJECT, stderr: 2 }));
  }

  private constructor(child: LineChild) {
    this.#child = child;
  }

  /** Resolves with how many steps were done: all, or those until it was killed behind the step of number `killAt`. */
  async run(order: DriverOrder, killAt: number | undefined): Promise<number> {
    this.#child.send(order);
    for (let done = 0; ; done++) {
      if (done === order.steps) return done;
      if (done === killAt) {
        await this.kill();
        return done;
      }
      const line = await this.#child.nextLine();
      if (line === undefined)
        throw new Error(
          `the driver with seed ${order.seed} ended: ${JSON.stringify(await this.#child.exited)}`,
        );
      if (line !== "done") throw new Error(`the driver with seed ${order.seed} said ${line}`);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
  }
}

/** Does something to a sandbox; whoever comes too late is told so, and that is fine. */
export async function tolerantly(step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!MicrosandboxError.is(error) || !EXPECTED_CODES.includes(error.code)) throw error;
  }
}

async function randomStep(world: ModelWorld, random: SeededRandom): Promise<void> {
  const name = random.pick(NAMES);
  const action = random.pick(ACTIONS);
  switch (action) {
    case "create":
      await Sandbox.create(randomOptions(world, random, name));
      return;
    case "replace": {
      const replace = { graceMs: random.pick([0, GRACE_MS]) };
      await Sandbox.create({ ...randomOptions(world, random, name), replace });
      return;
    }
    case "list":
      await Sandbox.list();
      return;
    case "removeSnapshot":
      return await Snapshot.remove(random.pick(SNAPSHOTS));
    case "killHost":
    case "killEngine": {
      const { host, runDirectory = "" } = openState().get(name);
      const victim = action === "killHost" ? host : readIdentity(join(runDirectory, RunFile.machine));
      if (victim !== undefined) killProcess(victim);
      return;
    }
    default:
      await handleStep(await Sandbox.get(name), action, random);
  }
}

type HandleAction = Exclude<
  (typeof ACTIONS)[number],
  "create" | "replace" | "list" | "removeSnapshot" | "killHost" | "killEngine"
>;

async function handleStep(handle: SandboxHandle, action: HandleAction, random: SeededRandom): Promise<void> {
  switch (action) {
    case "start":
      await (random.pick([true, false]) ? handle.start() : handle.startDetached());
      return;
    case "stop":
      return await handle.stopWithTimeout(GRACE_MS);
    case "kill":
      return await handle.kill();
    case "remove":
      return await handle.remove();
    case "look":
      await handle.refresh();
      return;
    case "snapshot":
      if (!isLive(handle.status)) await handle.snapshot(random.pick(SNAPSHOTS));
  }
}

function randomOptions(
  { image, hasNetworks }: ModelWorld,
  random: SeededRandom,
  name: string,
): SandboxOptions {
  const oneIn = (count: number) => random.integer(1, count) === 1;
  const origin = oneIn(6) ? { fromSnapshot: random.pick(SNAPSHOTS) } : { image, diskMiB: DISK_MIB };
  const tap = { mode: "tap", cidr: random.pick(CIDRS), isolated: !oneIn(3) } as const;
  const hasTap = hasNetworks && oneIn(2);
  return {
    ...origin,
    name,
    engine: "qemu",
    memoryMiB: MEMORY_MIB,
    bootTimeoutMs: BOOT_TIMEOUT_MS,
    detached: oneIn(2),
    ephemeral: oneIn(6),
    network: hasTap ? tap : "none",
    ports: hasNetworks && oneIn(4) ? [PORT] : [],
  };
}

async function obey({ seed, steps, world }: DriverOrder): Promise<void> {
  const random = randomOf(seed);
  let left = steps;
  const work = async () => {
    while (left-- > 0) {
      await tolerantly(() => randomStep(world, random));
      process.stdout.write("done\n");
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
}

if (process.env["MSB_TEST_DRIVER"] === "1" && import.meta.main) {
  const lines = new LineQueue();
  process.stdin.on("data", (chunk: Uint8Array) => lines.push(chunk));
  process.stdin.on("end", () => process.exit(0)); // the test is gone
  for (let line = await lines.next(); line !== undefined; line = await lines.next())
    await obey(JSON.parse(line) as DriverOrder);
}
