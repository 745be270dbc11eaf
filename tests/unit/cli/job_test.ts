/** `msb jobs` and `msb job …`, over a backend in memory. @module */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { Sandbox } from "../../../mod.ts";
import { withSandbox } from "../../support/backend/over_memory.ts";
import { runCli } from "../../support/cli/cli.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const options = { skip: nativeAgentProblem };

test(
  "job run prints the id, job wait exits as the job does, and jobs lists it",
  () =>
    withSandbox(async () => {
      const run = await runCli(["job", "run", "box", "--name", "build", "--", "sh", "-c", "exit 7"]);
      assert.deepEqual([run.status, run.stderr], [0, ""]);
      const id = run.stdout.trim();
      assert.deepEqual(await runCli(["job", "wait", "box", "build"]), { status: 7, stdout: "", stderr: "" });
      const table = await runCli(["jobs", "box"]);
      const [first, ...cells] = table.stdout.trimEnd().split("\t");
      assert.equal(first, id);
      assert.deepEqual(
        [cells[0], cells[1], cells[2], cells.at(-1)],
        ["build", "exited", "7", "sh -c exit 7"],
      );
      const shown = await runCli(["jobs", "box"], { isTTY: true, environment: { NO_COLOR: "1" } });
      assert.match(shown.stdout, /ID +NAME +STATUS +EXIT +PID +STARTED +COMMAND/);
      const [json] = JSON.parse((await runCli(["jobs", "box", "--json"])).stdout);
      assert.deepEqual([json.id, json.status, json.exit.code], [id, "exited", 7]);
      assert.equal((await runCli(["jobs", "box", "--running"])).stdout, "");
      assert.equal((await runCli(["jobs", "box", "-q"])).stdout, `${id}\n`);
      const inspected = JSON.parse((await runCli(["job", "inspect", "box", id, "--json"])).stdout);
      assert.deepEqual(inspected, json);
      assert.match((await runCli(["job", "inspect", "box", id])).stdout, /^status\texited$/m);
    }),
  options,
);

test(
  "job signal takes names with and without SIG, and numbers; job kill ends all that it is given",
  () =>
    withSandbox(async () => {
      const ends = { HUP: 129, sigint: 130, "15": 143 };
      for (const [signal, code] of Object.entries(ends)) {
        const { stdout } = await runCli(["job", "run", "box", "sleep", "1000"]);
        assert.equal((await runCli(["job", "signal", "box", stdout.trim(), signal])).status, 0);
        assert.equal((await runCli(["job", "wait", "box", stdout.trim()])).status, code);
      }
      const unknown = await runCli(["job", "signal", "box", "absent", "TERM"]);
      assert.deepEqual([unknown.status, /jobNotFound/.test(unknown.stderr)], [1, true]);
      for (const name of ["a", "b"]) await runCli(["job", "run", "box", "--name", name, "sleep", "1000"]);
      const wrong = await runCli(["job", "signal", "box", "a", "TREM"]);
      assert.deepEqual([wrong.status, /SIGTERM/.test(wrong.stderr)], [2, true]);
      const killed = await runCli(["job", "kill", "box", "a", "absent", "b"]);
      assert.deepEqual([killed.status, killed.stdout], [1, "a\nb\n"]);
      for (const name of ["a", "b"]) assert.equal((await runCli(["job", "wait", "box", name])).status, 137);
    }),
  options,
);

test(
  "job run passes the flags of a program, refuses a name that is taken, and says why a program cannot be run",
  () =>
    withSandbox(async () => {
      await runCli(["job", "run", "box", "-n", "a", "sh", "-c", "sleep 1000", "-n", "x"]);
      const taken = await runCli(["job", "run", "box", "-n", "a", "true"]);
      assert.deepEqual([taken.status, /jobNameTaken/.test(taken.stderr)], [1, true]);
      assert.equal((await runCli(["job", "run", "box", "/no/such"])).status, 127);
      assert.equal((await runCli(["job", "run", "box", "-n", "a b", "true"])).status, 2);
      assert.equal((await runCli(["job", "run", "box"])).status, 2);
      assert.equal((await runCli(["job", "wait", "box", "a", "--timeout", "10ms"])).status, 1);
    }),
  options,
);

test(
  "job input passes standard input on to a job, and its end unless it is kept open",
  () =>
    withSandbox(async () => {
      const script = "cat >/dev/null; exit 3";
      await runCli(["job", "run", "box", "-i", "-n", "reader", "sh", "-c", script]);
      const kept = await runCli(["job", "input", "box", "reader", "--keep-open"], { input: "one\n" });
      assert.deepEqual([kept.status, kept.stderr], [0, ""]);
      assert.equal((await (await Sandbox.get("box")).job("reader")).status, "running");
      assert.equal((await runCli(["job", "input", "box", "reader"], { input: "two\n" })).status, 0);
      assert.equal((await runCli(["job", "wait", "box", "reader"])).status, 3);
      const over = await runCli(["job", "input", "box", "reader"], { input: "three\n" });
      assert.deepEqual([over.status, /jobEnded/.test(over.stderr)], [1, true]);
      assert.match(over.stderr, /The job "reader" has ended/);
    }),
  options,
);

test(
  "job input ends at once with Ctrl-C, whatever is typed",
  () =>
    withSandbox(async (sandbox) => {
      const job = await sandbox.startJob("head", ["-n", "1"], { name: "reader", stdin: "pipe" });
      const [input, signals] = [new PassThrough(), new EventEmitter()];
      const running = runCli(["job", "input", "box", "reader"], { input, signals });
      input.write("one\n");
      await job.wait(); // the line was read, and the next one is waited for
      signals.emit("SIGINT");
      assert.equal((await running).status, 130);
    }),
  options,
);

test(
  "attach names the programs to choose from in one line, whatever they are called",
  () =>
    withSandbox(async () => {
      for (const name of ["a", "b"]) {
        const words = ["sh", "-c", "sleep 1000; :", "\nerror: forged"];
        assert.equal((await runCli(["job", "run", "box", "-t", "-n", name, "--", ...words])).status, 0);
      }
      const { status, stderr } = await runCli(["attach", "box"]);
      assert.deepEqual([status, stderr.trimEnd().split("\n").length], [1, 1]);
      assert.match(stderr, /say which: a \(sh -c sleep 1000; : {2}error: forged\), b \(/);
    }),
  options,
);

test(
  "attach says what to do with a job that does not run on a terminal",
  () =>
    withSandbox(async () => {
      await runCli(["job", "run", "box", "-n", "quiet", "true"]);
      const { status, stderr } = await runCli(["attach", "box", "quiet"]);
      assert.equal(status, 1);
      assert.match(stderr, /"quiet" does not run on a terminal: `msb job logs`/);
    }),
  options,
);
