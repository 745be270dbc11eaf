/** The calls of a sandbox that run programs, over a backend with the real agent and no VM. @module */
import assert from "node:assert/strict";
import { type ExecProgram, NoDefaultCommandError } from "../../../mod.ts";
import { fieldsOf, withSandbox } from "../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const options = { skip: nativeAgentProblem };
const SHOW = 'printf "[%s]" "$0" "$@"';

test(
  "Sandbox.exec() and execStream() take a program as one object, as they take it apart",
  () =>
    withSandbox(async (sandbox) => {
      const program: ExecProgram = { command: "sh", args: ["-c", `${SHOW}; pwd`, "a", "b c"], cwd: "/tmp" };
      const { command, args, ...rest } = program;
      const whole = await sandbox.exec(program);
      assert.equal(whole.stdout(), "[a][b c]/tmp\n");
      assert.equal((await sandbox.exec(command, args, rest)).stdout(), whole.stdout());
      assert.equal((await (await sandbox.execStream(program)).collect()).stdout(), whole.stdout());
      assert.equal((await sandbox.exec({ command: "true" })).code, 0);
    }),
  options,
);

test(
  "Sandbox.exec() refuses an object that says too little, too much or something else",
  () =>
    withSandbox(async (sandbox) => {
      const refuses = (call: readonly unknown[], field: string) =>
        assert.rejects(sandbox.exec(...(call as [string])), fieldsOf(field));
      await refuses([{}], "command");
      await refuses([null], "command");
      await refuses([{ command: "a", arguments: [] }], "arguments");
      await refuses([{ command: "a", args: "bc" }], "args");
      await refuses([{ command: "a", args: null }], "args");
      await refuses([{ command: "a" }, ["b"]], "args");
      await refuses([{ command: "a" }, undefined, {}], "options");
      await refuses(["a", [], { command: "b" }], "command");
      await refuses(["a", null], "args");
      const unknown = sandbox.exec({ cmd: "a" } as unknown as ExecProgram);
      await assert.rejects(unknown, /cmd: is not known: did you mean command\?|command: must be/);
    }),
  options,
);

test(
  "Sandbox.exec() passes bytes on as they are, and refuses text that UTF-8 would change",
  () =>
    withSandbox(async (sandbox) => {
      const everyByte = Uint8Array.from({ length: 255 }, (_, index) => index + 1);
      const output = await sandbox.exec("printf", ["%s", everyByte]);
      assert.deepEqual([...output.stdoutBytes()], [...everyByte]);
      await assert.rejects(sandbox.exec("printf", ["%s", Uint8Array.of(1, 0)]), fieldsOf("args"));
      await assert.rejects(sandbox.exec("printf", ["%s", "\ud800"]), fieldsOf("args"));
      await assert.rejects(sandbox.exec("printf", Uint8Array.of(1) as unknown as string[]), fieldsOf("args"));
    }),
  options,
);

test(
  "Sandbox.execDefaultWith() and its stream run ENTRYPOINT and CMD; arguments take CMD's place",
  () =>
    withSandbox(
      async (sandbox) => {
        const words = [
          await sandbox.execDefaultWith((exec) => exec.env("MARK", "m")),
          await sandbox.execDefaultWith((exec) => exec.args(["x", "y"]).env("MARK", "m")),
          await (await sandbox.execDefaultStreamWith((exec) => exec.arg("z").env("MARK", "m"))).collect(),
        ];
        assert.deepEqual(
          words.map((output) => output.stdout()),
          ["m[cmd]", "m[x][y]", "m[z]"],
        );
      },
      { entrypoint: ["sh", "-c", `printf "$MARK"; ${SHOW}`], cmd: ["cmd"] },
    ),
  options,
);

test(
  "Sandbox.execDefaultWith() refuses if there is nothing to run",
  () =>
    withSandbox(async (sandbox) => {
      await assert.rejects(
        sandbox.execDefaultWith((exec) => exec),
        NoDefaultCommandError,
      );
      await assert.rejects(
        sandbox.execDefaultStreamWith((exec) => exec),
        NoDefaultCommandError,
      );
      assert.equal((await sandbox.execDefaultWith((exec) => exec.arg("true"))).code, 0);
    }),
  options,
);

test(
  "ExecOutput and the exited event say the signal by number and name",
  () =>
    withSandbox(async (sandbox) => {
      const killed = await sandbox.shell("kill -s TERM $$");
      assert.deepEqual([killed.code, killed.signal, killed.signalName], [143, 15, "SIGTERM"]);
      const exited = await sandbox.shell("exit 143");
      assert.deepEqual([exited.code, exited.signal, exited.signalName], [143, undefined, undefined]);
      const realTime = await sandbox.shell("kill -40 $$");
      assert.deepEqual([realTime.code, realTime.signal, realTime.signalName], [168, 40, undefined]);
      const events = [];
      for await (const event of await sandbox.shellStream("kill -s KILL $$")) events.push(event);
      assert.deepEqual(events.at(-1), { kind: "exited", code: 137, signal: 9, signalName: "SIGKILL" });
    }),
  options,
);

test(
  "ExecHandle.signal() takes names and numbers, and refuses others without sending anything",
  () =>
    withSandbox(async (sandbox) => {
      for (const signal of ["SIGUSR1", 10] as const) {
        await using run = await sandbox.execStream("cat");
        await assert.rejects(run.signal("SIGNOPE" as "SIGKILL"), fieldsOf("signal"));
        await assert.rejects(run.signal(0), fieldsOf("signal"));
        await run.signal(signal);
        const { signalName } = await run.wait();
        assert.equal(signalName, "SIGUSR1");
      }
    }),
  options,
);
