import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { hasNetworkInterface } from "../../../../src/platform/network_interface.ts";
import {
  findThreads,
  readAllocatedBytes,
  readResidentBytes,
  readTapBytes,
  readThreadMicros,
} from "../../../../src/vmm/host/host_usage.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

/** More than any process of a test has. */
const NO_PID = 2 ** 30;
/** A clock tick of proc(5): sysconf(_SC_CLK_TCK) is 100 on every Linux of ours. */
const TICK_MICROS = 10_000;

test("findThreads() finds threads by the name that they have", () => {
  const threads = findThreads(process.pid, /./);
  assert.ok(threads.includes(String(process.pid)), String(threads));
  const own = readFileSync("/proc/self/comm", "utf8").trim();
  assert.ok(findThreads(process.pid, new RegExp(`^${own}$`)).includes(String(process.pid)));
  assert.deepEqual(findThreads(process.pid, /^no thread is called so$/), []);
  assert.throws(() => findThreads(NO_PID, /./), { code: "ENOENT" });
});

test("readThreadMicros() counts the time on a processor that /proc/PID/stat counts", () => {
  const spinner = spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" });
  try {
    const pid = spinner.pid!;
    let before = 0;
    while (before < 200_000) before = readThreadMicros(pid, [String(pid)]);
    const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
    const [userTicks, systemTicks] = fields.split(" ").slice(11, 13).map(Number);
    const tickMicros = ((userTicks ?? 0) + (systemTicks ?? 0)) * TICK_MICROS;
    const after = readThreadMicros(pid, [String(pid)]);
    // User and system time are each rounded down.
    const isBetween = before - 2 * TICK_MICROS <= tickMicros && tickMicros <= after;
    assert.ok(isBetween, `${before} <= ${tickMicros} <= ${after}`);
  } finally {
    spinner.kill("SIGKILL");
  }
  assert.throws(() => readThreadMicros(NO_PID, ["1"]), { code: "ENOENT" });
});

test("readResidentBytes() adds up processes, each once", async () => {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  try {
    const pid = child.pid!;
    const kib = () => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    process.kill(pid, "SIGSTOP"); // Deno's ChildProcess.kill() sends one signal in its life
    while (!/State:\s*T/.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await new Promise(setImmediate);
    const before = kib();
    assert.equal(readResidentBytes([pid, pid]), before * 1024);
    assert.equal(readResidentBytes([pid, NO_PID]), undefined);
  } finally {
    child.kill("SIGKILL");
  }
});

test("readAllocatedBytes() leaves holes out, as du does", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const file = openSync(path, "w");
  ftruncateSync(file, 2 ** 30);
  writeSync(file, new Uint8Array(3 * 2 ** 20).fill(1), 0, undefined, 2 ** 29);
  closeSync(file);
  const du = Number(execFileSync("du", ["--block-size=1", path], { encoding: "utf8" }).split("\t")[0]);
  assert.equal(readAllocatedBytes(path), du);
  assert.ok(du >= 3 * 2 ** 20 && du < 2 ** 29, String(du));
  assert.equal(readAllocatedBytes(join(directory.path, "none")), undefined);
});

test("readTapBytes() has the device's counters from the guest's side, and nothing of a device that is gone", () => {
  for (const device of readdirSync("/sys/class/net").filter(hasNetworkInterface)) {
    const counter = (name: string) =>
      Number(readFileSync(`/sys/class/net/${device}/statistics/${name}`, "utf8"));
    const [sent, received] = [counter("tx_bytes"), counter("rx_bytes")];
    const bytes = readTapBytes(device);
    assert.ok(bytes !== undefined, device);
    assert.ok(sent <= bytes.rxBytes && bytes.rxBytes <= counter("tx_bytes"), device);
    assert.ok(received <= bytes.txBytes && bytes.txBytes <= counter("rx_bytes"), device);
  }
  assert.equal(readTapBytes("msb0123456789ab"), undefined);
});
