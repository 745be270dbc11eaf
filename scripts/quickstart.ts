/**
 * What `scripts/quickstart` runs once everything is installed: boots one sandbox, runs programs in it, and says how long
 * each stage took.
 *
 * @module
 */
import { doctor, MicrosandboxError, type PullProgress, Sandbox } from "../mod.ts";

const begin = performance.now();
let stageBegin = begin;

/** Prints a stage that has just ended, with its time. */
function stage(name: string, detail: string): void {
  const now = performance.now();
  const time = `${((now - stageBegin) / 1000).toFixed(2)} s`;
  console.log(`${name.padEnd(8)} ${time.padStart(8)}   ${detail}`);
  stageBegin = now;
}

/** Shows how the image gets on: one line that changes on a terminal, nothing elsewhere (its stage has a line anyway). */
function showProgress(event: PullProgress): void {
  if (!process.stdout.isTTY) return;
  const count = "totalBytes" in event && event.totalBytes ? progressBar(event) : "";
  process.stdout.write(`\r\x1b[K${event.kind} ${count}${event.kind === "complete" ? "\r\x1b[K" : ""}`);
}

function progressBar(event: PullProgress): string {
  const done =
    "downloadedBytes" in event ? event.downloadedBytes : "bytesRead" in event ? event.bytesRead : 0;
  const total = "totalBytes" in event ? (event.totalBytes ?? 0) : 0;
  const filled = total === 0 ? 0 : Math.round((Math.min(done, total) / total) * 30);
  return `[${"#".repeat(filled)}${" ".repeat(30 - filled)}] ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
}

async function run(sandbox: Sandbox, command: string, ...args: string[]): Promise<void> {
  const output = await sandbox.exec(command, args);
  stage("exec", `${[command, ...args].join(" ")}  → exit code ${output.code}`);
  for (const line of (output.stdout() + output.stderr()).trimEnd().split("\n"))
    console.log(`${" ".repeat(20)} ${line}`);
  if (!output.success) throw new Error(`${command} failed`);
}

async function main(image: string): Promise<void> {
  const report = await doctor();
  stage("doctor", report.reason);
  const steps: Record<string, string> = {
    image: `${image} is a disk`,
    kernel: "the VM host process has the name",
    engine: "kernel and disks are ready",
    agent: "the guest's kernel has started the agent",
    root: "the root file system is assembled",
  };
  const sandbox = await Sandbox.create(
    { name: "quickstart", image, memoryMiB: 256, replace: true },
    {
      onStep: (step) => steps[step] !== undefined && stage(step === "agent" ? "boot" : step, steps[step]),
      onPullProgress: showProgress,
    },
  );
  stage("ready", `sandbox ${sandbox.name} (${sandbox.id})`);
  await run(sandbox, "uname", "-a");
  await run(sandbox, "sh", "-c", "echo $((6 * 7)) > /root/answer; cat /root/answer; df -h / | tail -n 1");
  await run(sandbox, "ls", "/");
  await sandbox.stop();
  stage("stop", "everything written is on disk");
  const again = await Sandbox.start("quickstart");
  stage("start", "the same sandbox, booted again");
  await run(again, "cat", "/root/answer");
  await again.stop();
  await Sandbox.remove("quickstart");
  stage("remove", "nothing is left");
  console.log(`${"total".padEnd(8)} ${`${((performance.now() - begin) / 1000).toFixed(2)} s`.padStart(8)}`);
}

try {
  await main(process.argv[2] ?? "");
} catch (error) {
  console.error(MicrosandboxError.is(error) ? `${error.name}: ${error.message}` : error);
  process.exit(1);
}
