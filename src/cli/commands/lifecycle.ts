/** `msb start`, `stop`, `restart`, `kill`, `pause`, `resume`, `wait` and `rm`: each for any number of sandboxes. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxHandle } from "../../../mod.ts";
import { withBootProgress } from "../boot.ts";
import type { CliContext } from "../context.ts";
import { parseDurationMs } from "../parse.ts";
import { showProgress } from "../progress.ts";

const NAMES = ["<names...>", "the sandboxes"] as const;
const QUIET = ["-q, --quiet", "do not print the names"] as const;

export function startCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("start")
    .description("boot stopped sandboxes in the background")
    .argument(...NAMES)
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        await withBootProgress(cli, flags, (call) => Sandbox.startDetached(name, call));
      }),
    );
}

export function stopCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("stop")
    .summary("stop sandboxes gracefully")
    .description(
      "Sends SIGTERM to the programs of sandboxes, flushes everything to disk, and shuts the VMs down.",
    )
    .argument(...NAMES)
    .option(
      "-t, --timeout <time>",
      "time that programs get to exit, e.g. 30s (default: 10s)",
      parseDurationMs,
    )
    .option("-f, --force", "kill at once, like a power cut")
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        const handle = await Sandbox.get(name);
        using progress = showProgress(cli.stderr, flags);
        progress.step(`Stopping ${name}`);
        await cli.unlessInterrupted(stop(handle, flags)); // Ctrl-C ends the waiting; the stop continues
      }),
    );
}

async function stop(
  handle: SandboxHandle,
  { force, timeout }: { readonly force?: true | undefined; readonly timeout?: number | undefined },
): Promise<void> {
  if (force === true) await handle.kill();
  else if (timeout === undefined) await handle.stop();
  else await handle.stopWithTimeout(timeout);
}

export function restartCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("restart")
    .description("stop sandboxes and boot them again in the background")
    .argument(...NAMES)
    .option(
      "-t, --timeout <time>",
      "time that programs get to exit, e.g. 30s (default: 10s)",
      parseDurationMs,
    )
    .option("-f, --force", "kill at once, like a power cut")
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        const handle = await Sandbox.get(name);
        const { force, timeout: timeoutMs } = flags;
        await withBootProgress(cli, flags, (call) =>
          handle.restart({ ...call, detached: true, force, timeoutMs }),
        );
      }),
    );
}

/** Makes a command that does one thing to each named sandbox. */
function eachSandboxCommand(
  cli: CliContext,
  [name, description]: readonly [string, string],
  act: (handle: SandboxHandle) => Promise<void>,
): CommandUnknownOpts {
  return new Command(name)
    .description(description)
    .argument(...NAMES)
    .option(...QUIET)
    .action((names, flags) => cli.forEach(names, flags, async (each) => act(await Sandbox.get(each))));
}

export function killCommand(cli: CliContext): CommandUnknownOpts {
  const about = ["kill", "kill sandboxes at once, like a power cut"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.kill());
}

export function pauseCommand(cli: CliContext): CommandUnknownOpts {
  const about = ["pause", "suspend all programs of sandboxes"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.pause());
}

export function resumeCommand(cli: CliContext): CommandUnknownOpts {
  const about = ["resume", "resume the programs of paused sandboxes"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.resume());
}

export function waitCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("wait")
    .summary("wait until sandboxes have ended")
    .description(
      "Waits until sandboxes have ended. Prints 0 for each that stopped gracefully, 137 for one that was killed, and 1 for " +
        "one that crashed.",
    )
    .argument(...NAMES)
    .option("--timeout <time>", "give up after this time and exit with 1, e.g. 30s", parseDurationMs)
    .action((names, { timeout: timeoutMs }) =>
      cli.forEach(names, { quiet: true }, async (name) => {
        const handle = await Sandbox.get(name);
        const { exitCode, signal } = await handle.waitUntilStopped({ timeoutMs, signal: cli.signal });
        await cli.stdout.line(String(signal === null ? (exitCode ?? 1) : 128 + signal));
      }),
    );
}

export function removeCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("remove")
    .alias("rm")
    .description("delete sandboxes with their disks and logs")
    .argument(...NAMES)
    .option("-f, --force", "kill running ones first")
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        const handle = await Sandbox.get(name);
        await (flags.force === true ? handle.destroy({ force: true }) : handle.remove());
      }),
    );
}
