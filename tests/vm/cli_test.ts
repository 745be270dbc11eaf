/**
 * The command line tool as its users meet it: processes, pipes, terminals, signals, and real sandboxes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Sandbox } from "../../mod.ts";
import {
  type CliProcessOptions,
  type CliResult,
  spawnCli,
  terminalProblem,
} from "../support/cli/cli_process.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const MEMORY = `--memory=${MEMORY_MIB}M`;
const TERMINAL = { columns: 100, rows: 30 };

/** Runs `msb` and expects it to succeed. Gives its standard output. */
async function msb(words: readonly string[], options?: CliProcessOptions): Promise<string> {
  const { status, stdout, stderr } = await spawnCli(words, options);
  assert.equal(status, 0, `msb ${words.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

async function names(): Promise<string[]> {
  return (await Sandbox.list({ limit: 100 })).sandboxes.map(({ name }) => name);
}

function outcome({ status, stdout, stderr }: CliResult): readonly unknown[] {
  return [status, stdout, stderr];
}

homeTest("msb run passes input, output and the exit status on, and leaves nothing", async ({ image }) => {
  const script = 'read line; echo "$line $NAME $PWD $(id -un)"; echo problem >&2; exit 7';
  const flags = ["--quiet", MEMORY, "-e", "NAME=value", "-w", "/tmp", "-u", "tester"];
  const result = await spawnCli(["run", ...flags, image, "sh", "-c", script], { input: "a line\nanother\n" });
  assert.deepEqual(outcome(result), [7, "a line value /tmp tester\n", "problem\n"]);
  assert.deepEqual(await names(), []);
});

homeTest("msb run says why a program cannot be run, or was ended, by its exit status", async ({ image }) => {
  await msb(["create", "--quiet", "--name=box", MEMORY, image]);
  const run = (...words: string[]) => spawnCli(["exec", "box", ...words]);
  assert.equal((await run("sh", "-c", "kill -9 $$")).status, 137);
  assert.equal((await run("sh", "-c", "exit 255")).status, 255);
  const absent = await run("absent");
  assert.deepEqual([absent.status, absent.stdout], [127, ""]);
  assert.match(absent.stderr, /^error: Cannot run "absent" .*\(execFailed\)$/m);
  assert.equal((await run("/etc/passwd")).status, 126);
  const late = await run("--timeout", "200ms", "--", "sleep", "100");
  assert.equal(late.status, 124, late.stderr);
  await msb(["rm", "--force", "box"]);
});

homeTest("msb run hands Ctrl-C to the program, and kills it at the second one", async ({ image }) => {
  const run = (script: string, ...replies: NonNullable<CliProcessOptions["replies"]>) =>
    spawnCli(["run", "--quiet", MEMORY, image, "--", "sh", "-c", script], { replies });
  const interrupt = { signal: "SIGINT" } as const;
  const polite = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done";
  const caught = await run(polite, { after: "ready", send: interrupt });
  assert.deepEqual(outcome(caught), [9, "ready\ncaught\n", ""]);
  const stubborn = "trap 'echo no' INT; echo ready; while :; do sleep 0.1; done";
  const killed = await run(stubborn, { after: "ready", send: interrupt }, { after: "no\n", send: interrupt });
  assert.equal(killed.status, 137, killed.stderr);
  assert.deepEqual(await names(), []);
});

homeTest(
  "msb run gives a program the terminal: its size, keystrokes as they are, output as it is",
  async ({ image }) => {
    const script = "trap 'echo caught; exit 5' INT; stty size; echo go; while :; do sleep 0.1; done";
    const { status, stdout } = await spawnCli(["run", "--quiet", MEMORY, image, "--", "sh", "-c", script], {
      terminal: TERMINAL,
      replies: [{ after: "go\r\n", send: "\x03" }], // a signal for the guest's terminal to make, not for this one
    });
    assert.deepEqual([status, stdout], [5, "30 100\r\ngo\r\n^Ccaught\r\n"]);
    assert.deepEqual(await names(), []);
  },
  { missing: terminalProblem },
);

homeTest(
  "msb run gives a person a shell where the image names no program",
  async ({ image }) => {
    const { status, stdout } = await spawnCli(["run", "--quiet", MEMORY, image], {
      terminal: TERMINAL,
      replies: [{ after: "# ", send: "echo $((40 + 2))done; exit 6\r" }],
    });
    assert.equal(status, 6, stdout);
    assert.ok(stdout.includes("42done\r\n"), stdout);
    assert.deepEqual(await names(), []);
  },
  { missing: terminalProblem },
);

homeTest(
  "msb run ended by Ctrl-C while it boots leaves nothing",
  async ({ image }) => {
    const { status, stdout } = await spawnCli(["run", MEMORY, image, "true"], {
      terminal: TERMINAL,
      replies: [{ after: "Booting", send: "\x03" }],
    });
    assert.equal(status, 130, stdout);
    assert.ok(!stdout.includes("error:"), stdout);
    assert.deepEqual(await names(), []);
  },
  { missing: terminalProblem },
);

homeTest("msb run --detach leaves a program that is logged, and stops behind it", async ({ image }) => {
  const script = "echo begun; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo over >&2";
  const printed = await msb(["run", "-dq", "--name=box", MEMORY, image, "--", "sh", "-c", script]);
  assert.equal(printed, "box\n");
  assert.equal(await msb(["ps", "--quiet"]), "box\n");
  await msb(["exec", "box", "touch", "/tmp/end"]);
  const { status, stdout, stderr } = await spawnCli(["logs", "--follow", "box"]); // ends with the sandbox
  assert.deepEqual([status, stdout, stderr], [0, "begun\n", "over\n"]);
  await (await Sandbox.get("box")).waitUntilStopped();
  assert.equal(await msb(["ps"]), "");
  assert.match(await msb(["ls"]), /^box\tstopped\t/);
  await msb(["rm", "box"]);
});

homeTest("msb create, exec, logs, stop, start and rm are one sandbox's life", async ({ image }) => {
  assert.equal(
    await msb(["create", "-q", "-n", "box", MEMORY, "-p", "0:80", "--label", "a=b", image]),
    "box\n",
  );
  const twice = await spawnCli(["create", "-q", "-n", "box", MEMORY, image]);
  assert.equal(twice.status, 1);
  assert.match(twice.stderr, /\(sandboxAlreadyExists\)\n {2}hint: .*--replace/);

  const bulk = `${"x".repeat(99)}\n`;
  assert.equal(await msb(["exec", "box", "wc", "-c"], { input: bulk.repeat(20_000) }), "2000000\n");
  const cut = await spawnCli(["exec", "box", "yes"], { readBytesMax: 1 });
  assert.deepEqual([cut.status, cut.stderr], [141, ""]);
  await msb(["exec", "box", "sh", "-c", "echo kept > /root/note; echo said; sync"]);

  const logged = (await msb(["logs", "--json", "--tail", "1", "box"])).trimEnd();
  assert.equal(JSON.parse(logged).d, "said\n");
  assert.match(await msb(["logs", "--timestamps", "--tail", "1", "box"]), /^\d{4}-.*Z said\n$/);
  const [listed] = JSON.parse(await msb(["ls", "--label", "a=b", "--json"]));
  assert.deepEqual([listed.name, listed.status, listed.memoryMiB], ["box", "running", MEMORY_MIB]);
  const inspected = JSON.parse(await msb(["inspect", "box", "--json"]));
  assert.ok(inspected.network.ports[0].hostPort > 0);

  assert.equal(await msb(["shell", "-w", "/root", "box"], { input: "pwd; exit 0" }), "/root\n");
  const hostile = await spawnCli(["exec", "box", "/x\x1b[2J"]);
  assert.ok(hostile.stderr.includes("/x\\x1b[2J") && !hostile.stderr.includes("\x1b"), hostile.stderr);

  const busy = await spawnCli(["rm", "box"]);
  assert.deepEqual([busy.status, busy.stdout], [1, ""]);
  assert.equal(await msb(["stop", "box"]), "box\n");
  const stopped = await spawnCli(["exec", "box", "true"]);
  assert.match(stopped.stderr, /\(sandboxNotRunning\)\n {2}hint: `msb start`/);
  assert.equal(await msb(["start", "--quiet", "box"]), "");
  assert.equal(await msb(["exec", "box", "cat", "/root/note"]), "kept\n");
  const events = (await msb(["events", "box", "--json"])).trimEnd().split("\n");
  const actions = events
    .map((line) => JSON.parse(line).action)
    .filter((action) => !/running|idle/.test(action));
  assert.deepEqual(actions, ["created", "starting", "ready", "stopping", "stopped", "starting", "ready"]);
  assert.equal(await msb(["kill", "box"]), "box\n");
  assert.equal(await msb(["wait", "box"]), "137\n");
  assert.equal(await msb(["rm", "box"]), "box\n");
});

homeTest(
  "msb snapshot and restore make a second sandbox of the first one's disk",
  async ({ image, scratch }) => {
    await msb(["create", "-q", "-n", "first", MEMORY, image]);
    await msb(["exec", "first", "sh", "-c", "echo kept > /root/note"]);
    assert.equal(await msb(["snapshot", "create", "--from-sandbox", "first", "ready"]), "ready\n");
    const archive = join(scratch, "ready.msb");
    await msb(["snapshot", "save", "--quiet", "ready", archive]);
    await msb(["snapshot", "rm", "ready"]);
    assert.equal(await msb(["snapshot", "load", archive]), "ready\n");
    assert.equal(await msb(["snapshot", "verify", "ready"]), "ready\n");
    assert.match(await msb(["snapshot", "ls"]), /^ready\tfirst\t/);
    assert.equal(await msb(["restore", "-q", "-n", "second", MEMORY, "ready"]), "second\n");
    assert.equal(await msb(["exec", "second", "cat", "/root/note"]), "kept\n");
    assert.equal(await msb(["rm", "--force", "first", "second"]), "first\nsecond\n");
  },
);
