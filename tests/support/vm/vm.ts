/**
 * Tests that boot VMs: each in a home of its own, of which nothing may be left.
 *
 * @module
 */
import { mkdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, type SandboxCreateOptions } from "../../../mod.ts";
import { type TestOptions, temporaryDirectory, vmTest } from "../harness.ts";
import { assertNothingLeft, killProcessesOf, runRoot } from "../processes.ts";
import { imageProblem, makeRootfs } from "./images.ts";

/** What a test gets. */
export interface TestHome {
  /** `MSB_HOME` while the test runs. */
  readonly home: string;
  /** A busybox root file system. */
  readonly image: string;
  /** A directory of the test's own beside the home. */
  readonly scratch: string;
  /** Boots a small sandbox; it ends with the test. */
  create(options?: SandboxCreateOptions): Promise<Sandbox>;
}

/** Memory of test sandboxes, in MiB. */
export const MEMORY_MIB = 128;
/** Until a test counts as hung. A boot takes seconds under emulation, more on a busy machine. */
const TEST_TIMEOUT_MS = 240_000;

/** A {@linkcode vmTest} with a home. When its body has passed, nothing of its sandboxes may be left. */
export function homeTest(
  name: string,
  body: (test: TestHome) => Promise<void>,
  options: TestOptions = {},
): void {
  vmTest(name, () => withTestHome(body), {
    timeoutMs: TEST_TIMEOUT_MS,
    ...options,
    missing: options.missing ?? imageProblem,
  });
}

/** Runs `body` with a fresh `MSB_HOME`. */
export async function withTestHome(body: (test: TestHome) => Promise<void>, parent?: string): Promise<void> {
  using directory = temporaryDirectory();
  const scratch = realpathSync(directory.path);
  const home = join(parent ?? scratch, "home");
  const before = process.env["MSB_HOME"];
  process.env["MSB_HOME"] = home;
  mkdirSync(home, { mode: 0o700 });
  const sandboxes: Sandbox[] = [];
  const image = makeRootfs(join(scratch, "rootfs"));
  const create = async (options: SandboxCreateOptions = {}) => {
    const sandbox = await Sandbox.create({ name: "subject", image, memoryMiB: MEMORY_MIB, ...options });
    sandboxes.push(sandbox);
    return sandbox;
  };
  try {
    await body({ home, image, scratch, create });
    for (const sandbox of sandboxes) await discard(sandbox.name);
    await assertNothingLeft(home);
  } finally {
    killProcessesOf(home);
    if (before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = before;
    rmSync(runRoot(home), { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true });
  }
}

/** Kills and removes a sandbox, if there is one of that name. */
export async function discard(name: string): Promise<void> {
  const page = await Sandbox.list({ limit: 100 });
  for (const handle of page.sandboxes.filter((candidate) => candidate.name === name)) {
    await handle.kill();
    await handle.remove();
  }
}
