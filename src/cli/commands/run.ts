/** `msb run`: a new sandbox, one program in it, and the end of both. @module */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { type ExecHandle, type ExecOptions, MicrosandboxError, Sandbox } from "../../../mod.ts";
import { attachProgram, wantsTerminal } from "../attach.ts";
import { withBootProgress } from "../boot.ts";
import { interactiveOption, ProgramCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { parseDurationMs } from "../parse.ts";
import { type SandboxFlags, toSandboxOptions, withSandboxFlags } from "../sandbox_flags.ts";

interface RunFlags extends SandboxFlags {
  readonly detach?: true | undefined;
  readonly rm?: true | undefined;
  readonly tty?: boolean | undefined;
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
    .option("--rm", "remove the sandbox afterwards, even if it has a name")
    .option("-t, --tty", "run on a pseudo-terminal; the default where input and output are a terminal")
    .option("--no-tty", "run on pipes, even on a terminal")
    .addOption(interactiveOption())
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
  const options = { ...toSandboxOptions(flags), ...programOptions(image, command), ephemeral };
  const sandbox = await withBootProgress(cli, flags, (call) => Sandbox.create(options, call));
  try {
    cli.exitStatus = await attachProgram(cli, flags, (exec) =>
      startProgram(sandbox, { ...exec, timeoutMs: flags.timeout }, wantsTerminal(cli, flags)),
    );
  } finally {
    // A sandbox that cannot be started again needs no graceful end.
    if (ephemeral) await sandbox.destroy({ force: true });
    else await sandbox.stop();
  }
}

async function runDetached(
  cli: CliContext,
  image: string,
  command: readonly string[],
  flags: RunFlags,
): Promise<void> {
  const base = { ...toSandboxOptions(flags), ...programOptions(image, command) };
  const options = { ...base, detached: true, ephemeral: flags.rm === true };
  const sandbox = await withBootProgress(cli, flags, (call) => Sandbox.create(options, call));
  try {
    await startProgram(sandbox, { stdin: "null", detached: true, timeoutMs: flags.timeout }, false);
    if (flags.idleTimeout === undefined)
      await sandbox.setTimeLimits({ idleTimeoutMs: IDLE_AFTER_DETACHED_MS });
  } catch (error) {
    await sandbox.destroy({ force: true });
    throw error;
  }
  await cli.stdout.line(sandbox.name);
}

/** Arguments take the place of the image's CMD, behind its ENTRYPOINT. */
function programOptions(image: string, command: readonly string[]) {
  return { image, cmd: command.length === 0 ? undefined : command };
}

/** Runs what the sandbox is for; a person at a terminal gets a shell where the image says nothing. */
async function startProgram(
  sandbox: Sandbox,
  options: ExecOptions,
  isInteractive: boolean,
): Promise<ExecHandle> {
  try {
    return await sandbox.execDefaultStream(options);
  } catch (error) {
    const isUnsaid = MicrosandboxError.is(error) && error.code === "noDefaultCommand";
    if (!isUnsaid || !isInteractive) throw error;
    return await sandbox.execStream(sandbox.config().shell, [], options);
  }
}
