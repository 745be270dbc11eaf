/**
 * The one way in which this project writes tests, on Bun (`bun test`) and on Deno (`deno test`).
 *
 * `test()` runs by default. `vmTest()` boots a VM: it is skipped by default and runs under `bun test --only-ignored`
 * (or `MSB_ONLY_IGNORED=1`), where the others are left out. A VM test that this machine has not all for is skipped, and says
 * what is missing; under `MSB_REQUIRE_VM=1` it fails. Assertions come from `node:assert/strict`.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withReplay } from "./random.ts";
import { within } from "./within.ts";

/** How one test is run. */
export interface TestOptions {
  /** Milliseconds until the test counts as failed. @default {55_000} for `test`, {180_000} for `vmTest` */
  timeoutMs?: number;
  /** Why the test is not for this user or engine; `undefined` runs it. */
  skip?: string | undefined;
  /** What this machine lacks for it. Then it is skipped, too; but under `MSB_REQUIRE_VM=1` a VM test fails. */
  missing?: string | undefined;
}

type TestBody = () => void | Promise<void>;

/** Less than the minute that some tests let somebody wait who is to be woken; many times what a test takes. */
const TEST_TIMEOUT_MS = 55_000;

const onlyIgnored = process.env["MSB_ONLY_IGNORED"] === "1";
const register = "Bun" in globalThis ? await bunRegister() : denoRegister();

/** A test that needs no VM. */
export function test(name: string, body: TestBody, options: TestOptions = {}): void {
  if (onlyIgnored) return;
  const { timeoutMs = TEST_TIMEOUT_MS, skip, missing } = options;
  register(name, () => withReplay(body), timeoutMs, skip ?? missing);
}

/** A test that boots at least one VM: ignored unless asked for. See the module comment. */
export function vmTest(name: string, body: TestBody, options: TestOptions = {}): void {
  const { skip, timeoutMs = 180_000 } = options;
  if (!onlyIgnored) return register(name, body, timeoutMs, "boots a VM: run with --only-ignored");
  const missing = options.missing ?? vmUnavailable;
  // A test's own reason to skip (it is not for root, say) is nothing that could be installed.
  if (skip === undefined && missing !== undefined && process.env["MSB_REQUIRE_VM"] === "1") {
    const refusal = () => Promise.reject(new Error(`MSB_REQUIRE_VM=1, but: ${missing}`));
    return register(name, refusal, timeoutMs, undefined);
  }
  register(name, () => withReplay(body), timeoutMs, skip ?? missing);
}

/** Why no VM can be booted on this machine; `undefined` where one can. */
const vmUnavailable: string | undefined = onlyIgnored ? await findVmProblem() : undefined;

async function findVmProblem(): Promise<string | undefined> {
  const { doctor } = await import("../../mod.ts");
  const report = await doctor({ trial: false }); // the tests are the trial
  return report.engine === undefined
    ? report.problems.map((problem) => problem.message).join("; ")
    : undefined;
}

/** A directory of the test's own, removed when `using` leaves its scope. */
export function temporaryDirectory(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "msb-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

type Register = (name: string, body: TestBody, timeoutMs: number, skip: string | undefined) => void;

async function bunRegister(): Promise<Register> {
  const bun = await import("bun:test");
  return (name, body, timeoutMs, skip) => {
    if (skip === undefined) bun.test(name, body, timeoutMs);
    else bun.test.skip(`${name} [skipped: ${skip}]`, body);
  };
}

function denoRegister(): Register {
  interface DenoTest {
    test(definition: {
      name: string;
      fn: TestBody;
      ignore: boolean;
      sanitizeOps: boolean;
      sanitizeResources: boolean;
    }): void;
  }
  const deno = (globalThis as unknown as { Deno: DenoTest }).Deno;
  return (name, body, timeoutMs, skip) =>
    deno.test({
      name: skip === undefined ? name : `${name} [skipped: ${skip}]`,
      ignore: skip !== undefined,
      sanitizeOps: false, // node:* modules keep ops of their own across tests
      sanitizeResources: false,
      fn: () => within(timeoutMs, `"${name}"`, async () => body()),
    });
}
