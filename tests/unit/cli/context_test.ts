/** What commands share: names one after the other, waits that Ctrl-C ends, warnings. @module */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { SandboxNotFoundError } from "../../../mod.ts";
import { logDirectory } from "../../../src/backend/local/sandbox_directories.ts";
import { logsCommand } from "../../../src/cli/commands/logs.ts";
import { CliContext } from "../../../src/cli/context.ts";
import { Interrupt } from "../../../src/cli/interrupt.ts";
import { Output } from "../../../src/cli/output.ts";
import { Warnings } from "../../../src/cli/warnings.ts";
import { openExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

function contextOf() {
  const [out, err] = [new MemoryStream(), new MemoryStream()];
  const signals = new EventEmitter();
  const stderr = new Output(err);
  const cli = new CliContext({
    stdin: new PassThrough(),
    stdout: new Output(out),
    stderr,
    interrupt: new Interrupt(signals, () => {}),
    warnings: new Warnings(stderr),
  });
  return { cli, out, err, signals };
}

test("CliContext.forEach() goes on behind a failure, and counts it", async () => {
  const { cli, out, err } = contextOf();
  await cli.forEach(["a", "b", "c"], {}, async (name) => {
    if (name === "b") throw new SandboxNotFoundError(name);
  });
  assert.deepEqual([out.text, cli.exitStatus], ["a\nc\n", 1]);
  assert.match(err.text, /^error: No sandbox is called "b" \(sandboxNotFound\)\n/);
});

test("CliContext.forEach() prints no names with --quiet", async () => {
  const { cli, out } = contextOf();
  await cli.forEach(["a"], { quiet: true }, async () => {});
  assert.equal(out.text, "");
});

test("CliContext.forEach() ends at a signal, without a word of its own", async () => {
  const { cli, out, err, signals } = contextOf();
  const begun: string[] = [];
  const done = cli.forEach(["a", "b"], {}, async (name) => {
    begun.push(name);
    await cli.unlessInterrupted(new Promise(() => {}));
  });
  signals.emit("SIGINT");
  await assert.rejects(done);
  assert.deepEqual([begun, out.text, err.text, cli.interrupt.status], [["a"], "", "", 130]);
});

test("CliContext.unlessInterrupted() gives what the work gives, or the interruption", async () => {
  const { cli } = contextOf();
  assert.equal(await cli.unlessInterrupted(Promise.resolve(7)), 7);
  await assert.rejects(cli.unlessInterrupted(Promise.reject(new Error("no"))), { message: "no" });
  cli.interrupt.abort(130);
  await assert.rejects(cli.unlessInterrupted(new Promise(() => {})));
});

test("logsCommand() ends at a signal that comes while it prints to what takes all at once", async () => {
  using home = new StateHome();
  const key = home.create("web");
  home.state.transition(key, "stopped");
  {
    using writer = openExecLogWriter({ directory: logDirectory(home.path, "web"), sandboxId: key.id });
    for (let line = 0; line < 100; line++) writer.append("stdout", 1, new TextEncoder().encode("line\n"));
  }
  for (const words of [["web"], ["web", "--tail", "100"]]) {
    const { cli, out, signals } = contextOf();
    const write = out.write.bind(out);
    out.write = (...args) => {
      if (out.text === "") setImmediate(() => signals.emit("SIGINT"));
      for (const begin = performance.now(); performance.now() - begin < 2; ); // busy: nothing else has a turn
      return write(...args);
    };
    await assert.rejects(logsCommand(cli).parseAsync(words, { from: "user" }), words.join(" "));
    assert.ok(out.text.length < 100 * "line\n".length, words.join(" "));
    assert.equal(cli.interrupt.status, 130);
  }
});

test("Warnings are lines of the tool's own, unless they are muted", async () => {
  const stream = new MemoryStream();
  const warnings = new Warnings(new Output(stream));
  warnings.emit("odd");
  warnings.emit(new Error("odder"));
  warnings.emit("a long story", { code: "MSB_EMULATION" });
  warnings.emit("no network", { code: "MSB_NO_NETWORK" });
  warnings.isMuted = true;
  warnings.emit("unheard");
  assert.equal(
    stream.text,
    "warning: odd\nwarning: odder\nwarning: sandboxes run by emulation here, which is slow: `msb doctor` says why\n" +
      "warning: the sandbox has no network, which the program looked for: --network user opens what is public, --allow HOST one host\n",
  );
});
