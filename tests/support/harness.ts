/**
 * The one way in which this project writes tests, on Bun (`bun test`) and on Deno (`deno test`).
 *
 * `test()` runs by default. `vmTest()` boots a VM: it is skipped by default and runs under `bun test --only-ignored`
 * (or `MSB_ONLY_IGNORED=1`), where the others are left out. Assertions come from `node:assert/strict`.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withReplay } from "./random.ts";

/** How one test is run. */
export interface TestOptions {
  /** Milliseconds until the test counts as failed. @default {30_000} for `test`, {180_000} for `vmTest` */
  timeoutMs?: number;
  /** Why the test is skipped; `undefined` runs it. */
  skip?: string | undefined;
}

type TestBody = () => void | Promise<void>;

const onlyIgnored = process.env["MSB_ONLY_IGNORED"] === "1";
const register = "Bun" in globalThis ? await bunRegister() : denoRegister();

/** A test that needs no VM. */
export function test(name: string, body: TestBody, options: TestOptions = {}): void {
  if (onlyIgnored) return;
  register(name, () => withReplay(body), options.timeoutMs ?? 30_000, options.skip);
}

/** A test that boots at least one VM: ignored unless asked for. See the module comment. */
export function vmTest(name: string, body: TestBody, options: TestOptions = {}): void {
  const skip = onlyIgnored ? (options.skip ?? vmUnavailable) : "boots a VM: run with --only-ignored";
  // A test's own reason to skip (it runs as root, say) is no lack of a VM.
  const lacksVm = onlyIgnored && options.skip === undefined && vmUnavailable !== undefined;
  if (lacksVm && process.env["MSB_REQUIRE_VM"] === "1") {
    register(
      name,
      () => Promise.reject(new Error(`MSB_REQUIRE_VM=1, but: ${vmUnavailable}`)),
      1000,
      undefined,
    );
    return;
  }
  register(name, () => withReplay(body), options.timeoutMs ?? 180_000, skip);
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
      fn: () => withTimeout(name, body, timeoutMs),
    });
}

async function withTimeout(name: string, body: TestBody, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`"${name}" did not finish in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([body(), expired]);
  } finally {
    clearTimeout(timer);
  }
}
