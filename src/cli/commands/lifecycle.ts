/** `msb start`, `stop`, `restart`, `kill`, `pause`, `resume` and `rm`: each for any number of sandboxes. @module */
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
    .description("boot sandboxes that are stopped, in the background")
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
    .summary("stop sandboxes in order")
    .description(
      "Ends the programs of sandboxes with SIGTERM, writes everything to their disks, and ends them.",
    )
    .argument(...NAMES)
    .option("-t, --timeout <time>", "time that programs get to end, e.g. 30s; 10s without", parseDurationMs)
    .option("-f, --force", "end at once, as a power cut would")
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        const handle = await Sandbox.get(name);
        using progress = showProgress(cli.stderr, flags);
        progress.step(`Stopping ${name}`);
        await cli.unlessInterrupted(stop(handle, flags)); // it goes on stopping, whoever waits for it
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
    .description("stop sandboxes, and boot them again in the background")
    .argument(...NAMES)
    .option("-t, --timeout <time>", "time that programs get to end, e.g. 30s; 10s without", parseDurationMs)
    .option("-f, --force", "end at once, as a power cut would")
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

/** A command that does one thing to each sandbox that is named. */
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
  const about = ["kill", "end sandboxes at once, as a power cut would"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.kill());
}

export function pauseCommand(cli: CliContext): CommandUnknownOpts {
  const about = ["pause", "make all programs of sandboxes stand still"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.pause());
}

export function resumeCommand(cli: CliContext): CommandUnknownOpts {
  const about = ["resume", "let the programs of paused sandboxes go on"] as const;
  return eachSandboxCommand(cli, about, (handle) => handle.resume());
}

export function removeCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("remove")
    .alias("rm")
    .description("delete sandboxes with their disks and logs")
    .argument(...NAMES)
    .option("-f, --force", "end those that run first")
    .option(...QUIET)
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        const handle = await Sandbox.get(name);
        await (flags.force === true ? handle.destroy({ force: true }) : handle.remove());
      }),
    );
}
