/**
 * A process that leads sandboxes without VMs through random steps, several at a time: see `host_process.ts` for what they
 * are. The sandboxes that it starts attached end when it does, which may be by SIGKILL.
 *
 * Run as a program, it takes one {@linkcode DriverOrder} a line, and answers with a line for each step that it has done.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { MicrosandboxError } from "../../src/base/errors.ts";
import { LineChild } from "../../src/platform/child.ts";
import { LineQueue } from "../../src/platform/line_queue.ts";
import { killProcess } from "../../src/platform/process_identity.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { isLive } from "../../src/registry/status.ts";
import { openRegistry, reconcile, SandboxCore, sweepLeftovers } from "../../src/sandbox/core.ts";
import { startHost } from "./host_process.ts";
import { randomOf, type SeededRandom } from "./random.ts";

interface DriverOrder {
  readonly seed: number;
  readonly steps: number;
}

/** Steps that go on at the same time in one driver. */
const WORKERS = 2;
const NAMES = ["a", "b", "c"];
const ACTIONS = [
  ...["create", "create", "hang", "start", "start", "stop", "stop", "kill"],
  ...["killHost", "killHost", "remove", "replace", "look", "list"],
] as const;
/** What may be said to those who come too late. */
const EXPECTED_CODES = ["sandboxNotFound", "sandboxReplaced", "sandboxStillRunning", "sandboxAlreadyExists"];
/** Of so many starts, one hangs. */
const STARTS_PER_HANG = 10;

const PROGRAM = fileURLToPath(import.meta.url);
const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

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
      if (line !== "done") throw new Error(`the driver with seed ${order.seed} said ${line}`);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
  }
}

/** Does something to a sandbox of that home; whoever comes too late is told so, and that is fine. */
export async function tolerantly(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!MicrosandboxError.is(error) || !EXPECTED_CODES.includes(error.code)) throw error;
  }
}

async function randomStep(registry: Registry, random: SeededRandom): Promise<void> {
  const { home } = registry;
  const name = random.pick(NAMES);
  const action = random.pick(ACTIONS);
  const detached = random.pick([true, false]);
  const create = (hangs: boolean) =>
    startHost({ home, sandbox: { kind: "create", id: randomUUID(), name }, hangs, detached });
  const record = registry.find(name);
  if (action === "create" || action === "hang") {
    sweepLeftovers(registry);
    await create(action === "hang");
    return;
  }
  if (action === "list") {
    await Promise.all(registry.list({}).map((listed) => reconcile(registry, listed)));
    return;
  }
  if (record === undefined) return;
  const core = new SandboxCore(registry, record);
  if (action === "start") {
    if (isLive(record.status)) return;
    await core.settle(record);
    const hangs = random.integer(1, STARTS_PER_HANG) === 1;
    await startHost({ home, sandbox: { kind: "start", id: record.id }, hangs, detached });
  } else if (action === "stop") {
    // One that hangs in its boot does not listen to reason.
    await (record.status === "creating" ? core.kill() : core.stop(100));
  } else if (action === "kill") {
    await core.kill();
  } else if (action === "killHost") {
    if (record.host !== undefined) killProcess(record.host);
  } else if (action === "remove") {
    await core.remove();
  } else if (action === "replace") {
    await core.kill();
    await core.remove();
    await create(false);
  } else {
    await reconcile(registry, record);
  }
}

async function obey({ seed, steps }: DriverOrder): Promise<void> {
  const registry = openRegistry();
  const random = randomOf(seed);
  let left = steps;
  const work = async () => {
    while (left-- > 0) {
      await tolerantly(() => randomStep(registry, random));
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
