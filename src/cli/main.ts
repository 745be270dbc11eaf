/**
 * `msb`: parses the command line, runs the command, and reports errors.
 *
 * @module
 */
import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { adopt, inheritSettings } from "./command.ts";
import { loadCommand, saveCommand } from "./commands/archive.ts";
import { attachCommand } from "./commands/attach.ts";
import { completionCommand } from "./commands/completion.ts";
import { cpCommand } from "./commands/cp.ts";
import { createCommand, restoreCommand } from "./commands/create.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { eventsCommand } from "./commands/events.ts";
import { execCommand, shellCommand } from "./commands/exec.ts";
import { imageCommand } from "./commands/image.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { jobCommand, jobsCommand } from "./commands/job.ts";
import {
  killCommand,
  pauseCommand,
  removeCommand,
  restartCommand,
  resumeCommand,
  startCommand,
  stopCommand,
  waitCommand,
} from "./commands/lifecycle.ts";
import { listCommand, statusCommand } from "./commands/list.ts";
import { logsCommand } from "./commands/logs.ts";
import { mcpCommand } from "./commands/mcp.ts";
import { networkCommand } from "./commands/network.ts";
import { pullCommand } from "./commands/pull.ts";
import { runCommand } from "./commands/run.ts";
import { snapshotCommand } from "./commands/snapshot.ts";
import { statsCommand } from "./commands/stats.ts";
import { topCommand } from "./commands/top.ts";
import { volumeCommand } from "./commands/volume.ts";
import { CliContext, type CliStreams } from "./context.ts";
import { ExitStatus } from "./exit_status.ts";
import { commandHabit, flagHabit } from "./habits.ts";
import { VERSION, versionLine } from "./version.ts";

/** Runs one command line and returns its exit status. Never throws. */
export async function main(words: readonly string[], streams: CliStreams): Promise<number> {
  const cli = new CliContext(streams);
  const { stdout, stderr, interrupt } = cli;
  stdout.onBroken = () => interrupt.abort(ExitStatus.brokenPipe);
  try {
    const program = buildProgram(cli);
    const [word = ""] = words;
    const habit = isCommand(program, word) ? undefined : commandHabit(word);
    if (habit !== undefined)
      program.showHelpAfterError(false).error(`error: msb has no command '${word}'\n  hint: ${habit}`);
    await program.parseAsync([...words], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) cli.exitStatus = error.exitCode === 0 ? 0 : ExitStatus.usage;
    else if (interrupt.status === undefined) await cli.fail(error).catch(() => {}); // the reader is gone
  }
  await Promise.all([stdout.flush(), stderr.flush()]);
  return interrupt.status ?? cli.exitStatus;
}

function buildProgram(cli: CliContext): CommandUnknownOpts {
  const { stdout, stderr } = cli;
  const program: CommandUnknownOpts = new Command("msb")
    .description("Runs programs in microVMs.")
    .version(`msb ${VERSION}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help of a command")
    .usage("<command> [options]")
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError("  hint: run `msb --help` for usage")
    .configureHelp({
      styleTitle: (text) => stdout.style("bold", text),
      subcommandTerm: (command) => [command.name(), ...command.aliases()].join(", "),
    })
    .configureOutput({
      writeOut: (text) => void stdout.write(text).catch(() => {}), // main() waits for it
      writeErr: (text) => void stderr.write(text).catch(() => {}),
      outputError: (text, write) => {
        const habit = flagHabit(text);
        const advice = habit === undefined ? "" : `  hint: ${habit}\n`;
        write(`${text.replace(/^error:/, stderr.style("red", "error:"))}${advice}`);
      },
      getOutHelpWidth: () => stdout.columns,
      getErrHelpWidth: () => stderr.columns,
      getOutHasColors: () => stdout.hasColour,
      getErrHasColors: () => stderr.hasColour,
    });
  adopt(
    program,
    [
      runCommand(cli),
      createCommand(cli),
      restoreCommand(cli),
      startCommand(cli),
      stopCommand(cli),
      restartCommand(cli),
      killCommand(cli),
      pauseCommand(cli),
      resumeCommand(cli),
      waitCommand(cli),
      removeCommand(cli),
    ],
    { heading: "Sandboxes:" },
  );
  adopt(
    program,
    [
      execCommand(cli),
      shellCommand(cli),
      attachCommand(cli),
      cpCommand(cli),
      jobsCommand(cli),
      jobCommand(cli),
      logsCommand(cli),
      eventsCommand(cli),
      listCommand(cli),
      statusCommand(cli),
      statsCommand(cli),
      topCommand(cli),
      inspectCommand(cli),
    ],
    { heading: "Inspect and run:" },
  );
  adopt(
    program,
    [
      pullCommand(cli),
      loadCommand(cli),
      saveCommand(cli),
      imageCommand(cli),
      snapshotCommand(cli),
      networkCommand(cli),
      volumeCommand(cli),
    ],
    { heading: "Images, snapshots and volumes:" },
  );
  program.commandsGroup("Other:");
  adopt(
    program,
    [mcpCommand(cli), doctorCommand(cli), completionCommand(cli, program), versionCommand(cli)],
    {
      heading: "Other:",
    },
  );
  inheritSettings(program, program);
  return program;
}

function isCommand(program: CommandUnknownOpts, word: string): boolean {
  return program.commands.some((command) => command.name() === word || command.aliases().includes(word));
}

function versionCommand({ stdout }: CliContext): CommandUnknownOpts {
  return new Command("version")
    .description("print the version, runtime and platform")
    .action(() => stdout.line(versionLine()));
}
