/** Tools that run something in a sandbox, or show what ran there. @module */
import { z } from "zod";
import { BoundedText, readRun } from "./bounded_output.ts";
import { ENTRIES_MAX } from "./settings.ts";
import { CHANGES, fields, READS, tool } from "./tools.ts";

/** How many records of the log one answer is made of, at most; each has up to 64 KiB. */
const LOG_TAIL_DEFAULT = 100;

const signalName = z.string().nullable().describe("The signal that ended it, e.g. SIGKILL.");
const value = z.unknown().optional().describe("The value as JSON, if JSON can express it.");

const run = tool({
  name: "sandbox_run",
  title: "Run a command",
  description:
    "Runs a line of shell in a sandbox, or with `args` a program without a shell, and waits until it has ended. A non-zero exit code is " +
    "not an error. To leave a server running: `server > /tmp/log 2>&1 &`.",
  annotations: { ...CHANGES, openWorldHint: true },
  input: z.strictObject({
    sandbox: fields.sandbox,
    command: z.string().min(1).describe("A line of shell; with `args`, a program."),
    args: z
      .array(z.string())
      .optional()
      .describe("Arguments of the program, which then runs without a shell."),
    stdin: z.string().optional().describe("Text for its standard input."),
    cwd: fields.cwd,
    env: fields.env,
    user: fields.user,
    timeoutMs: fields.timeoutMs,
  }),
  output: z.object({
    exitCode: z.int().nullable().describe("null if it was killed at timeoutMs."),
    signalName,
    timedOut: z.boolean(),
    stdout: z.string(),
    stderr: z.string(),
    stdoutOmittedBytes: fields.omitted,
    stderrOmittedBytes: fields.omitted,
  }),
  async run({ sandbox: name, command, args, stdin, ...options }, { sandboxes, settings }, signal) {
    const sandbox = await sandboxes.running(name);
    const [program, words] = args === undefined ? [sandbox.config().shell, ["-c", command]] : [command, args];
    await using running = await sandbox.execStream(program, words, {
      ...options,
      stdin: stdin === undefined ? "null" : new TextEncoder().encode(stdin),
      signal,
    });
    return await readRun(running, settings.outputBytesMax);
  },
});

const runCode = tool({
  name: "sandbox_run_code",
  title: "Run code",
  description:
    "Runs Python, JavaScript or shell code in a sandbox, with the interpreter of its image. Gives the value of the last expression, and the " +
    "exception if one ended it. With `session`, later calls of the same name know variables, functions and imports.",
  annotations: { ...CHANGES, openWorldHint: true },
  input: z.strictObject({
    sandbox: fields.sandbox,
    language: z.enum(["python", "javascript", "sh"]),
    code: z.string(),
    session: z
      .string()
      .min(1)
      .optional()
      .describe("Name of the session that keeps state. Default: no session."),
    cwd: fields.cwd,
    env: fields.env,
    user: fields.user,
    timeoutMs: fields.timeoutMs,
  }),
  output: z.object({
    success: z.boolean(),
    result: z
      .object({ text: z.string(), textOmittedBytes: fields.omitted, value })
      .nullable()
      .describe("The value of the last expression; null if there is none."),
    isValueOmitted: z.boolean().describe("Whether there is a value that is too long for an answer."),
    error: z
      .object({ name: z.string(), message: z.string(), traceback: z.string(), omittedBytes: fields.omitted })
      .nullable(),
    exitCode: z.int().nullable().describe("Of a shell's last command, or of the interpreter if it exited."),
    signalName,
    stdout: z.string(),
    stderr: z.string(),
    stdoutOmittedBytes: fields.omitted,
    stderrOmittedBytes: fields.omitted,
    sessionStarted: z.boolean().describe("Whether the session was new, without earlier state."),
    sessionEnded: z.boolean().describe("Whether the session has lost its state."),
  }),
  async run({ sandbox: name, language, code, ...options }, { sandboxes, settings }, signal) {
    const { outputBytesMax } = settings;
    const sandbox = await sandboxes.running(name);
    const { session } = options;
    const runNow = () => sandbox.runCode(language, code, { ...options, signal, outputBytesMax });
    const ran = await (session === undefined ? runNow() : sandboxes.inSession(name, session, runNow));
    const { result, error, omittedBytes } = ran;
    const text = cut(result?.text ?? "", outputBytesMax);
    const traceback = cut(error?.traceback ?? "", outputBytesMax);
    const message = cut(error?.message ?? "", outputBytesMax);
    const errorName = cut(error?.name ?? "", outputBytesMax);
    const isValueOmitted = JSON.stringify(result?.value ?? null).length > outputBytesMax;
    return {
      success: ran.success,
      result:
        result === undefined
          ? null
          : {
              text: text.text,
              textOmittedBytes: text.omittedBytes + result.textOmitted,
              ...(isValueOmitted ? {} : { value: result.value }),
            },
      isValueOmitted,
      error:
        error === undefined
          ? null
          : {
              name: errorName.text,
              message: message.text,
              traceback: traceback.text,
              omittedBytes: errorName.omittedBytes + message.omittedBytes + traceback.omittedBytes,
            },
      exitCode: ran.exitCode ?? null,
      signalName: ran.signalName ?? null,
      stdout: ran.stdout,
      stderr: ran.stderr,
      stdoutOmittedBytes: omittedBytes.stdout,
      stderrOmittedBytes: omittedBytes.stderr,
      sessionStarted: ran.sessionStarted,
      sessionEnded: ran.sessionEnded,
    };
  },
});

const logs = tool({
  name: "sandbox_logs",
  title: "Read the log",
  description:
    "Shows what programs in a sandbox wrote last, also those in the background, whether it runs or not.",
  annotations: READS,
  input: z.strictObject({
    sandbox: z.string().min(1).describe("Name of the sandbox."),
    tail: z
      .int()
      .min(1)
      .max(ENTRIES_MAX)
      .default(LOG_TAIL_DEFAULT)
      .describe("How many entries, the last ones."),
  }),
  output: z.object({
    entries: z.array(z.object({ time: z.string(), source: z.string(), text: z.string() })),
    omittedBytes: z
      .int()
      .min(0)
      .describe("How many bytes of earlier entries are left out, beyond the limit of an answer."),
  }),
  async run({ sandbox: name, tail }, { sandboxes, settings }) {
    const found = await (await sandboxes.find(name)).logs({ tail });
    const entries: { time: string; source: string; text: string }[] = [];
    let room = settings.outputBytesMax;
    let omittedBytes = 0;
    for (const { timestamp, source, data } of found.toReversed()) {
      const kept = data.subarray(data.length - Math.min(room, data.length));
      room -= kept.length;
      omittedBytes += data.length - kept.length;
      if (kept.length > 0 || data.length === 0)
        entries.unshift({ time: timestamp.toISOString(), source, text: new TextDecoder().decode(kept) });
    }
    return { entries, omittedBytes };
  },
});

function cut(text: string, bytesMax: number): { readonly text: string; readonly omittedBytes: number } {
  const bounded = new BoundedText(bytesMax);
  bounded.add(new TextEncoder().encode(text));
  return { text: bounded.text(), omittedBytes: bounded.omittedBytes };
}

/** All of them. */
export const PROGRAM_TOOLS = [run, runCode, logs];
