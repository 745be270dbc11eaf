/** `msb run`: a new sandbox, one program in it, and the end of both. @module */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { type AttachOptions, DETACHED, NoDefaultCommandError, Sandbox } from "../../../mod.ts";
import { attachProgram, attachStatus, detachKeysOption, noDetachKeysOption } from "../attach.ts";
import { withBootProgress } from "../boot.ts";
import { interactiveOption, ProgramCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { parseDurationMs } from "../parse.ts";
import {
  asIsOption,
  originOptions,
  type SandboxFlags,
  toSandboxOptions,
  withSandboxFlags,
} from "../sandbox_flags.ts";

interface RunFlags extends SandboxFlags {
  readonly asIs?: true | undefined;
  readonly detach?: true | undefined;
  readonly rm?: true | undefined;
  readonly tty?: boolean | undefined;
  readonly detachKeys?: string | false | undefined;
  readonly timeout?: number | undefined;
}

/** A sandbox that was made for one program in the background has no other reason to go on. */
const IDLE_AFTER_DETACHED_MS = 1000;

export function runCommand(cli: CliContext): CommandUnknownOpts {
  return withSandboxFlags(new ProgramCommand("run"))
    .summary("create a sandbox, run a program in it, and end it")
    .description(
      "Creates a sandbox from an image and runs a program in it: what is given, with the image's ENTRYPOINT before it, or " +
        "the image's own. Without --name the sandbox is removed afterwards; with a name it is stopped and kept.",
    )
    .argument("<image>", "a reference such as alpine, or a path such as ./rootfs or ./image.tar")
    .argument("[command...]", "the program and its arguments")
    .option("-d, --detach", "leave the program in the background and print the sandbox's name")
    .addOption(asIsOption())
    .option("--rm", "remove the sandbox afterwards, even if it has a name")
    .option("-t, --tty", "run on a pseudo-terminal; the default where input and output are a terminal")
    .option("--no-tty", "run on pipes, even on a terminal")
    .addOption(interactiveOption())
    .addOption(detachKeysOption())
    .addOption(noDetachKeysOption())
    .option("--timeout <time>", "kill the program after this time and exit with 124", parseDurationMs)
    .action(async (image, command, flags) => {
      if (flags.detach === true) await runDetached(cli, image, command, flags);
      else await runAttached(cli, image, command, flags);
    });
}

async function runAttached(
  cli: CliContext,
  image: string,
  command: readonly string[],
  flags: RunFlags,
): Promise<void> {
  const ephemeral = flags.rm === true || flags.name === undefined;
  const options = { ...toSandboxOptions(flags), ...programOptions(image, command, flags), ephemeral };
  const sandbox = await withBootProgress(cli, flags, (call) => Sandbox.create(options, call));
  let code: number | undefined;
  try {
    const { timeout: timeoutMs } = flags;
    code = await attachProgram(cli, flags, sandbox.name, {
      pipes: (streams) => sandbox.execDefaultStream({ ...streams, timeoutMs }),
      terminal: (terminal) => attachToMain(sandbox, { ...terminal, timeoutMs }),
    });
    cli.exitStatus = attachStatus(code);
  } finally {
    if (code === DETACHED) await leaveRunning(sandbox, flags);
    // A sandbox that cannot be started again needs no graceful end.
    else if (ephemeral) await sandbox.destroy({ force: true });
    else await sandbox.stop();
  }
}

/** The sandbox ends, as with `--detach`, when its program has. */
async function leaveRunning(sandbox: Sandbox, { idleTimeout }: RunFlags): Promise<void> {
  await sandbox.detach();
  if (idleTimeout === undefined) await sandbox.setTimeLimits({ idleTimeoutMs: IDLE_AFTER_DETACHED_MS });
}

async function runDetached(
  cli: CliContext,
  image: string,
  command: readonly string[],
  flags: RunFlags,
): Promise<void> {
  const base = { ...toSandboxOptions(flags), ...programOptions(image, command, flags) };
  const options = { ...base, detached: true, ephemeral: flags.rm === true };
  const sandbox = await withBootProgress(cli, flags, (call) => Sandbox.create(options, call));
  try {
    await sandbox.execDefaultStream({ stdin: "null", detached: true, timeoutMs: flags.timeout });
    if (flags.idleTimeout === undefined)
      await sandbox.setTimeLimits({ idleTimeoutMs: IDLE_AFTER_DETACHED_MS });
  } catch (error) {
    await sandbox.destroy({ force: true });
    throw error;
  }
  await cli.stdout.line(sandbox.name);
}

/** Arguments take the place of the image's CMD, behind its ENTRYPOINT. */
function programOptions(image: string, command: readonly string[], flags: RunFlags) {
  return { ...originOptions(image, flags), cmd: command.length === 0 ? undefined : command };
}

/** Attaches to what the sandbox is for; a person at a terminal gets a shell where the image says nothing. */
async function attachToMain(sandbox: Sandbox, options: AttachOptions): Promise<number> {
  try {
    return await sandbox.attachDefault(options);
  } catch (error) {
    if (!(error instanceof NoDefaultCommandError)) throw error;
    return await sandbox.attachShell(options);
  }
}
