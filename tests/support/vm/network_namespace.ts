/**
 * Tests in a network namespace of their own, so that what they do to routes and devices is nobody else's concern. A
 * namespace belongs to a process: each such test runs in a further process of this runtime's test runner, which loads
 * the same file and runs that one test.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../../../src/platform/find_program.ts";
import { type TestOptions, temporaryDirectory, vmTest } from "../harness.ts";
import { imageProblem } from "./images.ts";
import { homeTest, type TestHome } from "./vm.ts";

/** Name of the test that this process is for. */
const INNER_TEST = "MSB_TEST_NAMESPACE";
/** File that it writes when it has passed: a runner that finds no test may call that a success. */
const PASSED_FILE = "MSB_TEST_NAMESPACE_PASSED";
const TIMEOUT_MS = 300_000;
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));

/** What network namespaces are made with, and the packages that have it. */
const TOOLS = { unshare: "util-linux", ip: "iproute2" } as const;

/** Why there can be no network namespaces; `undefined` where there can. */
export const namespaceProblem: string | undefined = findNamespaceProblem();

function findNamespaceProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "network namespaces and TAP devices need root";
  const missing = Object.entries(TOOLS).filter(([program]) => findProgram(program) === undefined);
  if (missing.length === 0) return undefined;
  const list = missing.map(([program, debianPackage]) => `${program} (${debianPackage})`);
  return `not installed: ${list.join(", ")}`;
}

/** Whether this process has a network namespace of its own. */
export const isNamespaced: boolean = process.env[INNER_TEST] !== undefined;

/** A {@linkcode namespaceTest} where there can be namespaces; elsewhere a `homeTest`, and not {@linkcode isNamespaced}. */
export function namespaceOrHomeTest(
  file: string,
  name: string,
  body: (test: TestHome) => Promise<void>,
  options: TestOptions = {},
): void {
  if (namespaceProblem === undefined) namespaceTest(file, name, body, options);
  else homeTest(name, body, options);
}

/** A `homeTest` with root's rights in a network namespace that has a loopback interface only. */
export function namespaceTest(
  file: string,
  name: string,
  body: (test: TestHome) => Promise<void>,
  options: TestOptions = {},
): void {
  const { timeoutMs = TIMEOUT_MS } = options;
  const inner = process.env[INNER_TEST];
  if (inner === name) {
    const passed = process.env[PASSED_FILE] ?? "";
    const marked = async (test: TestHome) => {
      await body(test);
      writeFileSync(passed, "");
    };
    return homeTest(name, marked, { timeoutMs });
  }
  const missing = namespaceProblem ?? imageProblem ?? options.missing;
  const outer = { timeoutMs, skip: options.skip, missing };
  if (inner === undefined) vmTest(name, () => runInside(fileURLToPath(file), name), outer);
}

/** What `ip` shows of this namespace. */
export function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8" });
}

/** The TAP devices and routing rules of sandboxes in this namespace. */
export function networkLeft(): string[] {
  const found = `${ip("-brief", "link")}${ip("rule")}`.split("\n");
  return found.filter((line) => /\bmsb[0-9a-f]{12}\b|^[23]:/.test(line));
}

async function runInside(file: string, name: string): Promise<void> {
  using directory = temporaryDirectory();
  const passed = join(directory.path, "passed");
  const runner =
    "Bun" in globalThis ? ["test", file] : ["test", "--allow-all", "--no-check", "--quiet", file];
  const child = spawn(
    "unshare",
    ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", process.execPath, ...runner],
    {
      cwd: PROJECT,
      env: { ...process.env, [INNER_TEST]: name, [PASSED_FILE]: passed, MSB_ONLY_IGNORED: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.ok(code === 0 && existsSync(passed), `in its namespace the test ended with ${code}:\n${output}`);
}
