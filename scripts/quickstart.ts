/**
 * What `scripts/quickstart` runs once everything is installed: boots one sandbox, runs programs in it, and says how long
 * each stage took.
 *
 * @module
 */
import { relative } from "node:path";
import { type CreateStep, doctor, MicrosandboxError, Sandbox } from "../mod.ts";
import { Output } from "../src/cli/output.ts";
import { showProgress } from "../src/cli/progress.ts";
import { Warnings } from "../src/cli/warnings.ts";

const begin = performance.now();
let stageBegin = begin;

/** Prints a stage that has just ended, with its time. */
function stage(name: string, detail: string): void {
  const now = performance.now();
  const time = `${((now - stageBegin) / 1000).toFixed(2)} s`;
  console.log(`${name.padEnd(8)} ${time.padStart(8)}   ${detail}`);
  stageBegin = now;
}

async function run(sandbox: Sandbox, command: string, ...args: string[]): Promise<void> {
  const output = await sandbox.exec(command, args);
  stage("exec", `${[command, ...args].join(" ")}  → exit code ${output.code}`);
  for (const line of (output.stdout() + output.stderr()).trimEnd().split("\n"))
    console.log(`${" ".repeat(20)} ${line}`);
  if (!output.success) throw new Error(`${command} failed`);
}

/** Boots the sandbox. A bar shows how its image gets on; its line is gone before the first stage has one. */
async function createWithProgress(image: string, onStep: (step: CreateStep) => void): Promise<Sandbox> {
  using progress = showProgress(new Output(process.stdout, process.env));
  return await Sandbox.create(
    { name: "quickstart", image, memoryMiB: 256, replace: true },
    {
      onPullProgress: progress.pull,
      onStep: (step) => {
        progress[Symbol.dispose]();
        onStep(step);
      },
    },
  );
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
  const sandbox = await createWithProgress(image, (step) => {
    if (steps[step] !== undefined) stage(step === "agent" ? "boot" : step, steps[step]);
  });
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
  console.log(howToGoOn(image));
}

/** Commands to try next, as they work in this checkout: the tools of setup need not be on the path. */
function howToGoOn(path: string): string {
  const image = shortPath(path);
  const home = shortPath(process.env["MSB_HOME"] ?? "");
  return `
It works. To go on, in this directory:

  export PATH="$PWD/.cache/tools/node_modules/.bin:$PATH" MSB_HOME=${home}
  bun cli.ts run ${image}                   # a shell in a sandbox of its own
  bun cli.ts create --name box ${image}     # a sandbox that stays: exec, logs, stop, rm
  bun examples/hello.ts ${image}            # a program of 20 lines

  scripts/pack ~                            # the package, to install in a project of yours: see README.md
  docs/getting_started.md                   # Bun and Deno, permissions, Python
`;
}

/** A path below this directory as one that begins with `./`, which is how an image is told from a reference. */
function shortPath(path: string): string {
  const below = relative(process.cwd(), path);
  return below.startsWith("..") ? path : `./${below}`;
}

process.emitWarning = new Warnings(new Output(process.stderr, process.env)).emit;
try {
  await main(process.argv[2] ?? "");
} catch (error) {
  console.error(MicrosandboxError.is(error) ? `${error.name}: ${error.message}` : error);
  process.exit(1);
}
