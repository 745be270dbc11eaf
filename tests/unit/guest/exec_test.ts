import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  EXEC_START_BYTES_MAX,
  ExecFailure,
  FrameFlag,
  SESSIONS_MAX,
  WireError,
} from "../../../src/agent/protocol.ts";
import { NativeAgent, type NativeExecOptions, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const isRoot = process.getuid?.() === 0;
const needsRoot = skip ?? (isRoot ? undefined : "changing the user needs root");

test(
  "execStart reports the exit code, and both channels apart",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "echo out; echo err >&2; exit 7");
    assert.equal(record.stdout, "out\n");
    assert.equal(record.stderr, "err\n");
    assert.deepEqual(record.exited, { code: 7, signal: 0 });
    assert.equal(record.names[0], "execStarted");
    assert.equal(record.names.at(-1), "closed");
  },
  { skip },
);

test(
  "execStart reports the signal that ended a process",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "kill -KILL $$");
    assert.deepEqual(record.exited, { code: 0, signal: 9 });
  },
  { skip },
);

test(
  "execStart resets signal dispositions and mask",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "grep -E '^Sig(Blk|Ign)' /proc/self/status");
    assert.match(record.stdout, /SigBlk:\s0+\n/);
    assert.match(record.stdout, /SigIgn:\s0+\n/);
  },
  { skip },
);

test(
  "execStart leaves the process nothing open but its three files",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(2, ["sleep", "1000"]);
    await agent.expect("execStarted", 2);
    const record = await agent.run(1, "ls /proc/$$/fd");
    assert.deepEqual(
      record.stdout
        .trim()
        .split(/\s+/)
        .filter((fd) => Number(fd) < 10),
      ["0", "1", "2"],
    );
  },
  { skip },
);

test(
  "execStart passes the environment exactly, and adds only what is missing",
  async () => {
    await using agent = await NativeAgent.start();
    const plain = await agent.run(1, "exec /usr/bin/env", { env: ["A=1", "EMPTY=", "HOME=/nowhere"] });
    const names = plain.stdout.split("\n").filter((line) => line !== "" && !/^(PWD|SHLVL|_)=/.test(line));
    assert.deepEqual(names.sort(), [
      "A=1",
      "EMPTY=",
      "HOME=/nowhere",
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]);
  },
  { skip },
);

test(
  "execStart starts in the directory that was asked for",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const record = await agent.run(1, "pwd -P", { cwd: directory.path });
    assert.equal(record.stdout, `${directory.path}\n`);
  },
  { skip },
);

test(
  "execStart gives /dev/null for stdin unless a pipe was asked for",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "readlink /proc/self/fd/0; cat");
    assert.equal(record.stdout, "/dev/null\n");
  },
  { skip },
);

test(
  "execStart makes the process the leader of a session and group of its own",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat"]);
    const { pid } = (await agent.expect("execStarted", 1)).fields;
    assert.equal((await agent.collect(1)).stdout, `${pid} ${pid} ${pid}\n`);
  },
  { skip },
);

test(
  "execStart looks the program up in the PATH that was given",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    mkdirSync(join(directory.path, "bin"));
    writeFileSync(join(directory.path, "bin", "tool"), "#!/bin/sh\necho found $1\n", { mode: 0o755 });
    agent.exec(1, ["tool", "it"], { env: [`PATH=/nonexistent:${directory.path}/bin`] });
    assert.equal((await agent.collect(1)).stdout, "found it\n");
  },
  { skip },
);

test(
  "execStart runs a script without a first line by /bin/sh",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const script = join(directory.path, "script");
    writeFileSync(script, 'echo "$0 $1"\n', { mode: 0o755 });
    agent.exec(1, [script, "argument"]);
    assert.equal((await agent.collect(1)).stdout, `${script} argument\n`);
  },
  { skip },
);

const failures: readonly (readonly [string, readonly string[], NativeExecOptions, number])[] = [
  ["a program that is not in the PATH", ["no-such-program"], {}, ExecFailure.notFound],
  ["a path that does not exist", ["/no/such/program"], {}, ExecFailure.notFound],
  ["a path through a file", ["/etc/passwd/x"], {}, ExecFailure.notFound],
  ["a directory", ["/tmp"], {}, ExecFailure.permissionDenied],
  ["a file that may not be executed", ["/etc/passwd"], {}, ExecFailure.permissionDenied],
  ["a directory to start in that is missing", ["true"], { cwd: "/no/such" }, ExecFailure.badCwd],
  ["a directory to start in that is a file", ["true"], { cwd: "/etc/passwd" }, ExecFailure.badCwd],
  ["a user that does not exist", ["true"], { user: "no-such-user" }, ExecFailure.badUser],
  ["a group that does not exist", ["true"], { user: "root:no-such-group" }, ExecFailure.badUser],
  ["a user number that is none", ["true"], { user: "4294967295" }, ExecFailure.badUser],
  ["no program", [], {}, ExecFailure.badArguments],
  ["an empty program name", [""], {}, ExecFailure.badArguments],
  ["a zero byte in an argument", ["true", "a\0b"], {}, ExecFailure.badArguments],
  ["an environment entry without a name", ["true"], { env: ["=x"] }, ExecFailure.badArguments],
  ["an environment entry without =", ["true"], { env: ["x"] }, ExecFailure.badArguments],
  ["an unknown resource limit", ["true"], { rlimits: ["nofiles=1:1"] }, ExecFailure.badArguments],
  ["a resource limit without its hard part", ["true"], { rlimits: ["nofile=1"] }, ExecFailure.badArguments],
  ["a soft limit above the hard one", ["true"], { rlimits: ["nofile=2:1"] }, ExecFailure.resourceLimit],
];

for (const [what, argv, options, kind] of failures) {
  test(
    `execStart fails with its own kind for ${what}`,
    async () => {
      await using agent = await NativeAgent.start();
      agent.exec(1, argv, options);
      const { fields } = await agent.expect("execFailed", 1);
      assert.equal(fields.kind, kind, fields.message);
      assert.notEqual(fields.message, "");
      await agent.expect("closed", 1);
      assert.equal((await agent.run(1, "echo again")).stdout, "again\n", "the stream is free");
    },
    { skip },
  );
}

test(
  "execStart fails for a binary that is no program",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const file = join(directory.path, "binary");
    writeFileSync(file, new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0, 0]), { mode: 0o755 });
    agent.exec(1, [file]);
    assert.equal((await agent.expect("execFailed", 1)).fields.kind, ExecFailure.notExecutable);
  },
  { skip },
);

test(
  "execStart says that the interpreter is missing, and not the script",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const file = join(directory.path, "script");
    writeFileSync(file, "#!/no/such/interpreter\n", { mode: 0o755 });
    agent.exec(1, [file]);
    const { fields } = await agent.expect("execFailed", 1);
    assert.equal(fields.kind, ExecFailure.notFound);
    assert.match(fields.message, /interpreter/);
  },
  { skip },
);

test(
  "execStart passes over a directory of the PATH that denies, and says so in the end",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const file = join(directory.path, "denied-program");
    writeFileSync(file, "#!/bin/sh\n");
    chmodSync(file, 0o644);
    agent.exec(1, ["denied-program"], { env: [`PATH=${directory.path}:/nonexistent`] });
    assert.equal((await agent.expect("execFailed", 1)).fields.kind, ExecFailure.permissionDenied);
  },
  { skip },
);

test(
  "execStart sets resource limits by name",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "ulimit -S -n; ulimit -H -n; ulimit -c", {
      rlimits: ["nofile=64:128", "core=0:unlimited"],
    });
    assert.equal(record.stdout, "64\n128\n0\n");
  },
  { skip: needsRoot },
);

const users: readonly (readonly [string, RegExp])[] = [
  ["", /^0 0 /],
  ["daemon", /^1 1 .* \/usr\/sbin\n/],
  ["1", /^1 1 .* \/usr\/sbin\n/],
  ["54321", /^54321 0 .* \/\n/],
  ["54321:12345", /^54321 12345 12345 \/\n/],
  ["daemon:bin", /^1 2 2 \/usr\/sbin\n/],
  ["daemon:2", /^1 2 2 /],
];

for (const [user, expected] of users) {
  test(
    `execStart runs as user "${user}"`,
    async () => {
      await using agent = await NativeAgent.start();
      const record = await agent.run(1, 'echo "$(id -u) $(id -g) $(id -G) $HOME"', { user, cwd: "/" });
      assert.match(record.stdout, expected);
    },
    { skip: needsRoot },
  );
}

test(
  "execStart lets a program that runs as somebody else open its own output by name",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "echo again > /dev/stdout", { user: "54321", cwd: "/" });
    assert.equal(record.stdout, "again\n", record.stderr);
  },
  { skip: needsRoot },
);

test(
  "execStart is joined from parts",
  async () => {
    await using agent = await NativeAgent.start();
    const argument = "x".repeat(100_000);
    agent.exec(1, ["sh", "-c", 'printf %s "$1" | wc -c; printf %s "$2" | wc -c', "sh", argument, argument]);
    assert.equal((await agent.collect(1)).stdout, "100000\n100000\n");
    agent.exec(2, ["echo", "bytewise"], {}, 1);
    assert.equal((await agent.collect(2)).stdout, "bytewise\n");
  },
  { skip },
);

test(
  "execStart is refused once its parts exceed the limit, and the stream is free after the last",
  async () => {
    await using agent = await NativeAgent.start();
    const argument = "x".repeat(64 * 1024);
    agent.exec(1, [
      "true",
      ...Array.from({ length: EXEC_START_BYTES_MAX / argument.length + 2 }, () => argument),
    ]);
    const record = await agent.collect(1);
    assert.deepEqual(record.names, ["execFailed", "closed"]);
    assert.equal(record.failed?.kind, ExecFailure.badArguments);
    assert.equal((await agent.run(1, "echo again")).stdout, "again\n");
  },
  { skip },
);

test(
  "execStart on a stream that is in use is refused and harms nothing",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["cat"], { flags: 2 });
    await agent.expect("execStarted", 1);
    agent.exec(1, ["true"]);
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.badStream);
    agent.stdin(1, "still here", FrameFlag.end);
    assert.equal((await agent.collect(1)).stdout, "still here");
  },
  { skip },
);

test(
  "execStart that cannot be decoded is answered by an error, and the stream is closed",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("execFailed", 1, { kind: 0, errno: 0, message: "" }); // a type that only the agent sends
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.unknownType);
    agent.exec(1, ["true"], {}, 5); // its first part alone is no execStart
    await agent.collect(1);
    agent.sendBytes(new Uint8Array([1, 0, 0, 0, 9, 0, 0, 0, 0x20, 0, 0, 0, 0]));
    assert.equal((await agent.expect("error", 9)).fields.code, WireError.malformed);
    await agent.expect("closed", 9);
  },
  { skip },
);

test(
  "execStart fails for the session past the limit, and works again when one has ended",
  async () => {
    await using agent = await NativeAgent.start();
    for (let stream = 1; stream <= SESSIONS_MAX; stream++) agent.exec(stream, ["sleep", "1000"]);
    for (let stream = 1; stream <= SESSIONS_MAX; stream++) await agent.expect("execStarted", stream);
    agent.exec(1000, ["true"]);
    assert.equal((await agent.expect("execFailed", 1000)).fields.kind, ExecFailure.tooManySessions);
    await agent.expect("closed", 1000);
    agent.send("close", 7, {});
    await agent.collect(7);
    assert.equal((await agent.run(1000, "echo room")).stdout, "room\n");
  },
  { skip, timeoutMs: 60_000 },
);
