/** `msb exec` and `msb shell`: programs in a running sandbox. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox } from "../../../mod.ts";
import {
  attachProgram,
  attachStatus,
  detachKeysOption,
  noDetachKeysOption,
  wantsTerminal,
} from "../attach.ts";
import { interactiveOption, ProgramCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { collect, parseDurationMs, parseEnv, parseEnvFile, parseRlimit } from "../parse.ts";
import { toEnv, toRecord } from "../sandbox_flags.ts";

export function execCommand(cli: CliContext): CommandUnknownOpts {
  return new ProgramCommand("exec")
    .summary("run a program in a running sandbox")
    .description(
      "Runs a program in a running sandbox and exits as it does. Input, output and signals are passed on. " +
        "Without a program, a terminal gets the sandbox's shell.",
    )
    .argument("<name>", "the sandbox")
    .argument("[command...]", "the program and its arguments")
    .option("-e, --env <KEY[=VALUE]>", "variable; KEY alone takes yours; repeatable", collect(parseEnv))
    .option("--env-file <path>", "file of KEY=VALUE lines; repeatable", collect(parseEnvFile))
    .option("-w, --workdir <path>", "working directory")
    .option("-u, --user <user>", "user: name, uid, name:group or uid:gid")
    .option("-t, --tty", "run on a pseudo-terminal; the default where input and output are a terminal")
    .option("--no-tty", "run on pipes, even on a terminal")
    .addOption(interactiveOption())
    .addOption(detachKeysOption())
    .addOption(noDetachKeysOption())
    .option("-d, --detach", "leave the program in the background: its output is in the log")
    .option("--timeout <time>", "kill the program after this time and exit with 124", parseDurationMs)
    .option("--rlimit <NAME=SOFT[:HARD]>", "resource limit; repeatable", collect(parseRlimit))
    .action(async (name, words, flags, command) => {
      const isInteractive = flags.detach !== true && wantsTerminal(cli, flags);
      if (words.length === 0 && !isInteractive)
        command.error("error: say what to run: msb exec NAME -- PROGRAM");
      const sandbox = await (await Sandbox.get(name)).connect();
      const [program = sandbox.config().shell, ...args] = words;
      const options = {
        env: toEnv(flags),
        cwd: flags.workdir,
        user: flags.user,
        rlimits: toRecord(flags.rlimit),
        timeoutMs: flags.timeout,
      };
      if (flags.detach === true) {
        await sandbox.execStream(program, args, { ...options, stdin: "null", detached: true });
      } else {
        const code = await attachProgram(cli, flags, name, {
          pipes: (streams) => sandbox.execStream(program, args, { ...options, ...streams }),
          terminal: (terminal) => sandbox.attach(program, args, { ...options, ...terminal }),
        });
        cli.exitStatus = attachStatus(code);
      }
    });
}

export function shellCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("shell")
    .summary("open the sandbox's shell")
    .description(
      "Runs the sandbox's shell: on a terminal until you leave it, else with standard input as its script.",
    )
    .argument("<name>", "the sandbox")
    .option("-w, --workdir <path>", "working directory")
    .option("-u, --user <user>", "user: name, uid, name:group or uid:gid")
    .addOption(detachKeysOption())
    .addOption(noDetachKeysOption())
    .action(async (name, flags) => {
      const sandbox = await (await Sandbox.get(name)).connect();
      const options = { cwd: flags.workdir, user: flags.user };
      const code = await attachProgram(cli, flags, name, {
        pipes: (streams) => sandbox.execStream(sandbox.config().shell, [], { ...options, ...streams }),
        terminal: (terminal) => sandbox.attachShell({ ...options, ...terminal }),
      });
      cli.exitStatus = attachStatus(code);
    });
}
