/** Commands of `$`, run by the real agent without a VM. @module */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AbortedError,
  ExecExitError,
  ExecOutputLimitError,
  ExecTimeoutError,
  type Sandbox,
  type ShellCommand,
} from "../../../../mod.ts";
import { fieldsOf, withSandbox } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { eventually } from "../../../support/processes.ts";

const KiB = 1024;
const options = { skip: nativeAgentProblem };

/** Runs `body` with a sandbox and a directory that its programs are in. */
async function inDirectory(
  body: (sandbox: Sandbox, path: (name: string) => string) => Promise<void>,
): Promise<void> {
  using directory = temporaryDirectory();
  const { path } = directory;
  await withSandbox((sandbox) => body(sandbox, (name) => join(path, name)), { workdir: path });
}

async function linesOf(command: ShellCommand): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of command.lines()) lines.push(line);
  return lines;
}

async function failureOf(command: PromiseLike<unknown>): Promise<ExecExitError> {
  try {
    await command;
  } catch (error) {
    if (error instanceof ExecExitError) return error;
    throw error;
  }
  throw new Error("the command did not fail");
}

test(
  "ShellCommand runs when it is awaited, once, and not before",
  () =>
    inDirectory(async (sandbox, path) => {
      const command = sandbox.$`echo ran >> ${"log"}; cat log`;
      const read = command.lines(); // is nothing until its first line is asked for
      await sandbox.$`true`;
      assert.ok(!existsSync(path("log")));
      const outputs = [await command, await command];
      assert.equal(outputs[0], outputs[1]);
      const bytes = new TextEncoder().encode("ran\n");
      assert.deepEqual([await command.text(), new Uint8Array(await command.bytes())], ["ran\n", bytes]);
      assert.deepEqual(await Promise.all([command, command.then(({ code }) => code)]), [outputs[0], 0]);
      assert.equal(readFileSync(path("log"), "utf8"), "ran\n");
      await assert.rejects(read.next(), fieldsOf("$"));
    }),
  options,
);

test(
  "ShellCommand gives its output as text, bytes, JSON and ExecOutput",
  () =>
    withSandbox(async ({ $ }) => {
      assert.equal(await $`printf 'a\nb'`.text(), "a\nb");
      assert.deepEqual([...(await $`printf '\377\000'`.bytes())], [255, 0]);
      assert.deepEqual(await $`echo ${JSON.stringify({ a: ["it's"] })}`.json(), { a: ["it's"] });
      await assert.rejects($`echo {`.json(), SyntaxError);
      const output = await $`echo out; echo err >&2`;
      assert.deepEqual([output.code, output.stdout(), output.stderr()], [0, "out\n", "err\n"]);
    }),
  options,
);

test(
  "ShellCommand rejects with ExecExitError if it fails, which says how and why",
  () =>
    withSandbox(async ({ $ }) => {
      const error = await failureOf($`printf ${"a b"}; printf 'why\033[2J\nso' >&2; exit 3`);
      assert.equal(error.code, "execExit");
      assert.deepEqual([error.exitCode, error.signal, error.signalName], [3, undefined, undefined]);
      assert.equal(error.command, "printf 'a b'; printf 'why\\033[2J\\nso' >&2; exit 3");
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.deepEqual([text(error.stdout), text(error.stderr)], ["a b", "why\x1b[2J\nso"]);
      // A terminal must not obey it, and a reader wants to see it.
      assert.match(error.summary, /exited with code 3:\n {4}why\\x1b\[2J\n {4}so$/);
      assert.match(error.hint ?? "", /nothrow/);
    }),
  options,
);

test(
  "ExecExitError names signals, and has a hint for what is not found and for what is killed",
  () =>
    withSandbox(async ({ $ }) => {
      const killed = await failureOf($`kill -s KILL $$`);
      assert.deepEqual([killed.exitCode, killed.signal, killed.signalName], [137, 9, "SIGKILL"]);
      assert.match(killed.message, /was ended by SIGKILL\n {2}hint: .*memory/);
      assert.match((await failureOf($`kill -40 $$`)).message, /was ended by signal 40/);
      assert.match((await failureOf($`sh -c 'kill -9 $$'; exit $?`)).hint ?? "", /memory/);
      const absent = await failureOf($`no-such-program`);
      assert.equal(absent.exitCode, 127);
      assert.match(absent.hint ?? "", /PATH/);
    }),
  options,
);

test(
  "ShellCommand.nothrow() makes exit codes and signals results, and no other error",
  () =>
    withSandbox(async ({ $ }) => {
      assert.equal((await $`exit 3`.nothrow()).code, 3);
      assert.equal((await $`kill -s TERM $$`.nothrow()).signalName, "SIGTERM");
      assert.equal(await $`echo a; exit 1`.nothrow().text(), "a\n");
      assert.deepEqual(await linesOf($`echo a; exit 1`.nothrow()), ["a"]);
      await assert.rejects($`sleep 600`.nothrow().timeout(20), ExecTimeoutError);
      await assert.rejects($`true`.nothrow().cwd("/no/such"), { code: "execFailed", kind: "badCwd" });
    }),
  options,
);

test(
  "ShellCommand.catch() and finally() are those of a promise",
  () =>
    withSandbox(async ({ $ }) => {
      assert.equal(await $`exit 3`.catch((error: ExecExitError) => error.exitCode), 3);
      let finals = 0;
      await $`true`.finally(() => finals++);
      await assert.rejects(
        $`false`.finally(() => finals++),
        ExecExitError,
      );
      assert.equal(finals, 2);
      assert.equal(String($`true`), "[object ShellCommand]");
    }),
  options,
);

test(
  "ShellCommand takes variables, directory, input and limits",
  () =>
    withSandbox(async ({ $ }) => {
      const shown = await $`echo "$A $B $C"; pwd`.env({ A: "1", B: "1" }).env({ B: "2" }).cwd("/tmp").text();
      assert.equal(shown, "1 2 \n/tmp\n");
      assert.equal(await $`cat`.stdin("pipe").text(), "pipe");
      assert.equal(await $`cat`.stdin(new Uint8Array([104, 105])).text(), "hi");
      assert.equal(await $`wc -c`.stdin(new Blob(["x".repeat(300 * KiB)]).stream()).text(), `${300 * KiB}\n`);
      assert.equal(await $`cat`.text(), "");
      await assert.rejects($`echo ${"a b"}; sleep 600`.timeout(20), (error: Error) => {
        assert.match(error.message, /^"echo 'a b'; sleep 600" took longer than 20 ms/);
        return error instanceof ExecTimeoutError;
      });
      await assert.rejects($`sleep 600`.signal(AbortSignal.abort("no")), AbortedError);
      await assert.rejects($`true`.user(""), fieldsOf("user"));
      await assert.rejects($`true`.stdin(5 as unknown as string), fieldsOf("stdin"));
    }),
  options,
);

test(
  "ShellTag with options gives a tag whose commands have them, over those of the tag",
  () =>
    withSandbox(async ({ $ }) => {
      const inner = $({ cwd: "/tmp", env: { A: "1", B: "1" } })({ env: { B: "2" } });
      assert.equal(await inner`pwd; echo $A $B $C`.env({ C: "3" }).text(), "/tmp\n1 2 3\n");
      assert.equal(await inner`pwd; echo $A $B $C`.cwd("/").text(), "/\n1 2\n");
      assert.equal(await $`pwd`.text(), "/\n");
      assert.equal(await $({ cwd: "/tmp" })({ cwd: undefined, env: undefined })`pwd`.text(), "/tmp\n");
      await assert.rejects($({ env: { A: "1" } })({ env: "B=2" } as object)`true`, fieldsOf("env"));
      await assert.rejects($({ env: { A: "1" } })`true`.env(null as never), fieldsOf("env"));
      await assert.rejects($`true`.env("B=2" as never), fieldsOf("env"));
      await assert.rejects($({ timeout: 5 } as object)`true`, fieldsOf("timeout"));
      await assert.rejects($({ stdin: "pipe" })`cat`, fieldsOf("stdin"));
      for (const wrong of [null, 5, "echo", ["echo"]])
        assert.throws(() => $(wrong as object), fieldsOf("options"));
    }),
  options,
);

test(
  "ShellCommand refuses to be changed once it runs, and to be read in two ways",
  () =>
    withSandbox(async ({ $ }) => {
      const command = $`echo a`;
      const running = command.then(() => {});
      assert.throws(() => command.nothrow(), fieldsOf("nothrow"));
      assert.throws(() => command.env({}), fieldsOf("env"));
      assert.throws(() => command.timeout(5), fieldsOf("timeout"));
      await running;
      await assert.rejects(command.lines().next(), fieldsOf("$"));
      const read = $`echo a`;
      assert.deepEqual(await linesOf(read), ["a"]);
      await assert.rejects(read.lines().next(), fieldsOf("$"));
      await assert.rejects(read.text(), fieldsOf("$"));
    }),
  options,
);

test(
  "ShellCommand.lines() gives lines as they come",
  () =>
    inDirectory(async (sandbox, path) => {
      const lines =
        sandbox.$`printf 'one\r\n\ntw'; until [ -e go ]; do sleep 0.02; done; printf 'o\nlast'`.lines();
      assert.deepEqual([(await lines.next()).value, (await lines.next()).value], ["one", ""]);
      writeFileSync(path("go"), "");
      assert.deepEqual([(await lines.next()).value, (await lines.next()).value], ["two", "last"]);
      assert.equal((await lines.next()).done, true);
    }),
  options,
);

test(
  "ShellCommand.lines() holds the command up while no line is asked for",
  () =>
    inDirectory(async (sandbox, path) => {
      const lines = sandbox.$`yes 123456789 | head -n 300000; touch done`.lines();
      await lines.next();
      await sandbox.$`sleep 0.2`; // time to write all, if that were possible
      assert.ok(!existsSync(path("done")));
      let count = 1;
      for await (const line of lines) count += line === "123456789" ? 1 : 0;
      assert.equal(count, 300_000);
      assert.ok(existsSync(path("done")));
    }),
  options,
);

test(
  "ShellCommand.lines() kills the command when the loop is left",
  () =>
    withSandbox(async ({ $ }) => {
      let pid = "";
      for await (const line of $`echo $$; exec sleep 600`.lines()) {
        pid = line;
        break;
      }
      assert.match(pid, /^\d+$/);
      await eventually(() => assert.throws(() => process.kill(Number(pid), 0), { code: "ESRCH" }));
    }),
  options,
);

test(
  "ShellCommand.lines() rejects behind the last line if the command fails, with the end of its errors",
  () =>
    withSandbox(async ({ $ }) => {
      const seen: string[] = [];
      const reading = async () => {
        for await (const line of $`echo a; head -c 300000 /dev/zero | tr '\000' x >&2; echo >&2; echo end >&2; printf b; exit 4`.lines())
          seen.push(line);
      };
      const error = await failureOf(reading());
      assert.deepEqual([seen, error.exitCode, error.stdout.length], [["a", "b"], 4, 0]);
      assert.equal(error.stderr.length, 64 * KiB);
      assert.match(error.message, /x\n {4}end/);
    }),
  options,
);

test(
  "ShellCommand.lines() refuses a line over outputBytesMax, and kills the command",
  () =>
    withSandbox(async ({ $ }) => {
      const $small = $({ outputBytesMax: 100 });
      assert.deepEqual(
        (await linesOf($small`head -c 100 /dev/zero; echo; head -c 100 /dev/zero`)).map(
          ({ length }) => length,
        ),
        [100, 100],
      );
      await assert.rejects(linesOf($small`cat /dev/zero`), ExecOutputLimitError);
    }),
  options,
);
