/** `msb jobs` and `msb job …`: programs of a sandbox that outlive who started them. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type Job, type LogEntry, MissedRotationError, Sandbox, type SignalName } from "../../../mod.ts";
import { pump } from "../attach.ts";
import { adopt, formatOption, ProgramCommand, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatAge } from "../format.ts";
import { LogWriter } from "../log_writer.ts";
import { collect, parseDurationMs, parseEnv, parseEnvFile, parseRlimit } from "../parse.ts";
import { toEnv, toRecord } from "../sandbox_flags.ts";
import { type Column, formatJson, formatPairs, formatTable } from "../table.ts";

const COLUMNS: readonly Column<Job>[] = [
  { heading: "ID", value: ({ id }) => id },
  { heading: "NAME", value: ({ name }) => name ?? "" },
  { heading: "STATUS", value: ({ status }) => status, shown: formatStatus },
  { heading: "EXIT", value: ({ exit }) => exit?.code ?? "", align: "right" },
  { heading: "PID", value: ({ pid }) => pid ?? "", align: "right" },
  {
    heading: "STARTED",
    value: ({ startedAt }) => startedAt.toISOString(),
    shown: ({ startedAt }) => formatAge(startedAt),
  },
  { heading: "COMMAND", value: ({ command }) => command.join(" "), shown: shortCommand },
];
/** Characters of a command line in a table. */
const COMMAND_CHARS_MAX = 60;

export function jobsCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("jobs")
    .summary("list the jobs of a sandbox")
    .description("Lists the jobs of a sandbox, those that have ended and those of earlier boots, too.")
    .argument("<sandbox>", "the sandbox")
    .option("--running", "only those that run")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only ids")
    .action(async (name, flags) => {
      const all = await (await Sandbox.get(name)).jobs();
      const jobs = flags.running === true ? all.filter(({ status }) => status === "running") : all;
      const { stdout } = cli;
      if (wantsJson(flags)) await stdout.write(formatJson(jobs));
      else if (flags.quiet === true) await stdout.write(jobs.map(({ id }) => `${id}\n`).join(""));
      else await stdout.write(formatTable(stdout, COLUMNS, jobs, "No jobs. `msb job run` starts one."));
    });
}

export function jobCommand(cli: CliContext): CommandUnknownOpts {
  const command = new Command("job")
    .description("start programs that outlive this one, and find them again")
    .enablePositionalOptions(); // `run` has a program's own words behind its own
  return adopt(command, [
    runJobCommand(cli),
    jobLogsCommand(cli),
    jobInputCommand(cli),
    waitJobCommand(cli),
    killJobCommand(cli),
    signalJobCommand(cli),
    inspectJobCommand(cli),
  ]);
}

function runJobCommand(cli: CliContext): CommandUnknownOpts {
  return new ProgramCommand("run")
    .summary("start a program as a job")
    .description(
      "Starts a program as a job of a running sandbox, and prints the job's id. Its output is in the log.",
    )
    .argument("<sandbox>", "the sandbox")
    .argument("<command...>", "the program and its arguments")
    .option("-n, --name <name>", "what to find the job by, besides its id")
    .option("-i, --interactive", "keep its standard input open, for `msb job input`")
    .option("-t, --tty", "run on a pseudo-terminal")
    .option("-e, --env <KEY[=VALUE]>", "variable; KEY alone takes yours; repeatable", collect(parseEnv))
    .option("--env-file <path>", "file of KEY=VALUE lines; repeatable", collect(parseEnvFile))
    .option("-w, --workdir <path>", "working directory")
    .option("-u, --user <user>", "user: name, uid, name:group or uid:gid")
    .option("--rlimit <NAME=SOFT[:HARD]>", "resource limit; repeatable", collect(parseRlimit))
    .action(async (name, [command = "", ...args], flags) => {
      const sandbox = await (await Sandbox.get(name)).connect();
      const job = await sandbox.startJob({
        command,
        args,
        name: flags.name,
        stdin: flags.interactive === true ? "pipe" : "null",
        tty: flags.tty === true,
        env: toEnv(flags),
        cwd: flags.workdir,
        user: flags.user,
        rlimits: toRecord(flags.rlimit),
        signal: cli.signal,
      });
      await cli.stdout.line(job.id);
    });
}

function jobLogsCommand(cli: CliContext): CommandUnknownOpts {
  return jobOf("logs", "the id or name of the job")
    .summary("show what a job wrote")
    .description("Shows what a job wrote, from its start on, whether it runs or not.")
    .option("-f, --follow", "wait for more, until the job ends")
    .option("--timestamps", "begin each line with its time")
    .option("--json", "one JSON object a line, with a cursor to resume from")
    .option("--cursor <cursor>", "go on after the entry that had this cursor")
    .option("--raw", "on a terminal, pass every escape sequence; without it only colours pass")
    .action(async (name, idOrName, flags) => {
      const job = await find(name, idOrName);
      const writer = new LogWriter(cli, flags);
      for await (const entry of outputOf(cli, job, flags)) await writer.show(entry);
    });
}

/** What is left of a job's output; what is gone is told. */
async function* outputOf(
  cli: CliContext,
  job: Job,
  { follow, cursor }: { readonly follow?: true | undefined; readonly cursor?: string | undefined },
): AsyncGenerator<LogEntry> {
  for (let fromCursor = cursor; ; ) {
    try {
      yield* await job.output({ follow: follow === true, fromCursor, signal: cli.signal });
      return;
    } catch (error) {
      if (!(error instanceof MissedRotationError)) throw error;
      await cli.stderr.line(`warning: ${error.summary}`);
      fromCursor = error.cursor;
    }
  }
}

function jobInputCommand(cli: CliContext): CommandUnknownOpts {
  return jobOf("input", "the id or name of a job that was started with -i or -t")
    .summary("write to the input of a job")
    .description("Passes standard input on to a job, and its end.")
    .option("--keep-open", "leave the job's input open at the end")
    .action(async (name, idOrName, { keepOpen }) => {
      const writer = (await find(name, idOrName)).stdin.getWriter();
      await cli.unlessInterrupted(writeAll(cli, writer));
      await (keepOpen === true ? writer.abort() : cli.unlessInterrupted(writer.close()));
    });
}

/** Resolves when standard input has ended. Ctrl-C ends the reading of it at once, whatever is typed. */
async function writeAll(cli: CliContext, writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const write = async (chunk: Uint8Array | string) => {
    try {
      await writer.write(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
    } catch (error) {
      ended.reject(error);
      throw error; // nothing more is read
    }
  };
  const stop = pump(cli.stdin, { write, close: async () => ended.resolve() });
  cli.signal.addEventListener("abort", stop, { once: true });
  await ended.promise;
}

function waitJobCommand(cli: CliContext): CommandUnknownOpts {
  return jobOf("wait", "the id or name of the job")
    .summary("wait until a job has ended")
    .description(
      "Waits until a job has ended, and exits as it did: with its exit code, or 128 plus the signal's number.",
    )
    .option("--timeout <time>", "fail after this time", parseDurationMs)
    .action(async (name, idOrName, { timeout: timeoutMs }) => {
      const job = await find(name, idOrName);
      cli.exitStatus = (await job.wait({ timeoutMs, signal: cli.signal })).code;
    });
}

function killJobCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("kill")
    .description("kill jobs, with all programs that they have started")
    .argument("<sandbox>", "the sandbox")
    .argument("<jobs...>", "ids or names of jobs")
    .option("-q, --quiet", "do not print the names")
    .action((name, jobs, flags) =>
      cli.forEach(jobs, flags, async (idOrName) => {
        const job = await find(name, idOrName);
        await job.kill();
      }),
    );
}

function signalJobCommand(cli: CliContext): CommandUnknownOpts {
  return jobOf("signal", "the id or name of the job")
    .description("send a signal to a job, and to all programs that it has started")
    .argument("<signal>", "its name or number: SIGHUP, HUP, 1")
    .action(async (name, idOrName, signal) => {
      cli.signal.throwIfAborted();
      await (await find(name, idOrName)).signal(signalOf(signal));
    });
}

function inspectJobCommand(cli: CliContext): CommandUnknownOpts {
  return jobOf("inspect", "the id or name of the job")
    .description("show all that is known of a job")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (name, idOrName, flags) => {
      const job = await find(name, idOrName);
      await cli.stdout.write(wantsJson(flags) ? formatJson(job) : formatPairs(cli.stdout, toPairs(cli, job)));
    });
}

function jobOf(name: string, job: string) {
  return new Command(name).argument("<sandbox>", "the sandbox").argument("<job>", job);
}

async function find(name: string, idOrName: string): Promise<Job> {
  return await (await Sandbox.get(name)).job(idOrName);
}

/** As kill(1) takes it. What is none the library refuses. */
function signalOf(text: string): SignalName | number {
  if (/^\d+$/.test(text)) return Number(text);
  const name = text.toUpperCase();
  return (name.startsWith("SIG") ? name : `SIG${name}`) as SignalName;
}

function formatStatus({ status, exit }: Job, output: CliContext["stdout"]): string {
  if (status === "running") return output.style("green", status);
  if (status === "exited" && exit?.success === true) return status;
  return output.style("red", exit?.signalName ?? status);
}

/** A command line for people: one line, and not a long one. */
export function shortCommand({ command }: Pick<Job, "command">): string {
  const text = command.join(" ").replaceAll(/\p{Cc}/gu, " ");
  return text.length > COMMAND_CHARS_MAX ? `${text.slice(0, COMMAND_CHARS_MAX - 1)}…` : text;
}

function toPairs({ stdout }: CliContext, job: Job) {
  return [
    ["id", job.id],
    ["name", job.name],
    ["status", job.status, formatStatus(job, stdout)],
    ["exit code", job.exit?.code],
    ["signal", job.exit?.signalName],
    ["failure", job.failure],
    ["pid", job.pid],
    ["terminal", job.tty ? "yes" : undefined],
    ["session", job.sessionId],
    ["started", job.startedAt.toISOString()],
    ["ended", job.endedAt?.toISOString()],
    ["command", job.command.join(" ")],
  ] as const;
}
