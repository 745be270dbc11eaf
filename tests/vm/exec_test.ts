/**
 * Programs in a real guest: how they are started, what comes back, and why some cannot be started.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExecFailedError, type ExecFailureKind, NoDefaultCommandError } from "../../mod.ts";
import { TEST_USER } from "../support/vm/images.ts";
import { homeTest } from "../support/vm/vm.ts";

/** More than one start may carry. */
const ARGUMENTS_TOO_LARGE_BYTES = 2 * 1024 * 1024;

homeTest("exec() returns exit codes as they are, and signals as 128 + number", async ({ create }) => {
  const sandbox = await create();
  for (const code of [0, 1, 7, 255]) {
    const { status } = await sandbox.shell(`exit ${code}`);
    assert.deepEqual(status, { code, success: code === 0, signal: undefined, signalName: undefined });
  }
  for (const [signal, signalName] of [
    [1, "SIGHUP"],
    [9, "SIGKILL"],
    [15, "SIGTERM"],
    [40, undefined],
  ] as const) {
    const { status } = await sandbox.shell(`kill -${signal} $$`);
    assert.deepEqual(status, { code: 128 + signal, success: false, signal, signalName });
  }
});

homeTest("exec() keeps stdout and stderr apart, byte for byte", async ({ create }) => {
  const sandbox = await create();
  const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);
  const octal = [...everyByte].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`);
  const reversed = everyByte.toReversed();
  const output = await sandbox.exec("sh", [
    "-c",
    `echo -ne "$1"; echo -ne "$2" >&2`,
    "sh",
    octal.join(""),
    octal.toReversed().join(""),
  ]);
  assert.deepEqual(new Uint8Array(output.stdoutBytes()), everyByte);
  assert.deepEqual(new Uint8Array(output.stderrBytes()), reversed);
});

homeTest("exec() passes words on unchanged: no shell is between", async ({ create }) => {
  const sandbox = await create();
  const words = ["", " ", "*", "$HOME", "a\nb", "'\"", "ü€𝄞", "-n"];
  const { stdout } = await collectText(sandbox.exec("sh", ["-c", 'printf "[%s]" "$@"', "sh", ...words]));
  assert.equal(stdout, words.map((word) => `[${word}]`).join(""));
});

homeTest(
  "exec() takes user, directory and variables from the call over those of the sandbox",
  async (test) => {
    const sandbox = await test.create({
      env: { FROM_SANDBOX: "1", OVERRIDDEN: "sandbox" },
      user: TEST_USER.name,
      workdir: "/tmp",
    });
    const script = 'id -u; id -g; id -G; pwd; echo "$HOME $FROM_SANDBOX $OVERRIDDEN $FROM_CALL"';
    const { uid, gid, home } = TEST_USER;

    const asSandbox = await collectText(
      sandbox.shell(script, { env: { OVERRIDDEN: "call", FROM_CALL: "2" } }),
    );
    assert.equal(asSandbox.stdout, `${uid}\n${gid}\n${gid} 2000\n/tmp\n${home} 1 call 2\n`);

    const asCall = await collectText(sandbox.shell(script, { user: "root", cwd: "/etc" }));
    assert.equal(asCall.stdout, "0\n0\n0\n/etc\n/root 1 sandbox \n");

    const asNumbers = await collectText(sandbox.shell("id -u; id -g", { user: "4711:4712" }));
    assert.equal(asNumbers.stdout, "4711\n4712\n");
  },
);

homeTest("exec() sets the resource limits of the sandbox and of the call", async ({ create }) => {
  const sandbox = await create({ rlimits: { nofile: { soft: 100, hard: 200 } } });
  const script = "ulimit -Sn; ulimit -Hn; ulimit -Sc";
  assert.equal((await sandbox.shell(script)).stdout().split("\n").slice(0, 2).join(), "100,200");
  const rlimits = { nofile: { soft: 50 }, core: { soft: 0, hard: "unlimited" } } as const;
  assert.equal((await sandbox.shell(script, { rlimits })).stdout(), "50\n50\n0\n");
});

homeTest("exec() rejects with ExecFailedError that says why a program cannot start", async (test) => {
  const tools = join(test.image, "opt");
  mkdirSync(tools);
  writeFileSync(join(tools, "not-permitted"), "#!/bin/sh\n", { mode: 0o644 });
  writeFileSync(join(tools, "not-a-program"), "\x00\x01\x02\x03", { mode: 0o755 });
  writeFileSync(join(tools, "no-interpreter"), "#!/no/such/interpreter\n", { mode: 0o755 });
  const sandbox = await test.create();

  const cases: readonly [ExecFailureKind, () => Promise<unknown>][] = [
    ["notFound", () => sandbox.exec("no-such-program")],
    ["notFound", () => sandbox.exec("/opt/no-such-program")],
    ["notFound", () => sandbox.exec("/opt/no-interpreter")],
    ["permissionDenied", () => sandbox.exec("/opt/not-permitted")],
    ["permissionDenied", () => sandbox.exec("/opt")],
    ["notExecutable", () => sandbox.exec("/opt/not-a-program")],
    ["badCwd", () => sandbox.exec("true", [], { cwd: "/no/such/directory" })],
    ["badUser", () => sandbox.exec("true", [], { user: "nobody-has-this-name" })],
    ["badUser", () => sandbox.exec("true", [], { user: "root:no-such-group" })],
    ["badArguments", () => sandbox.exec("true", ["x".repeat(ARGUMENTS_TOO_LARGE_BYTES)])],
    ["resourceLimit", () => sandbox.exec("true", [], { rlimits: { nofile: { soft: 10, hard: 2 ** 40 } } })],
  ];
  for (const [kind, run] of cases) {
    const error = await run().then(
      (result) => result,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ExecFailedError, `${kind}, ${String(run)}: ${String(error)}`);
    assert.deepEqual([error.kind, error.code], [kind, "execFailed"], error.message);
  }
  assert.equal((await sandbox.exec("true")).code, 0, "the sandbox is none the worse");
});

homeTest("execDefault() runs ENTRYPOINT and CMD; shell() runs the sandbox's shell", async ({ create }) => {
  const sandbox = await create({
    entrypoint: ["echo", "entry"],
    cmd: ["one", "two"],
    shell: "/bin/busybox",
  });
  assert.equal((await sandbox.execDefault()).stdout(), "entry one two\n");
  const streamed = await (await sandbox.execDefaultStream()).collect();
  assert.equal(streamed.stdout(), "entry one two\n");
  // busybox knows no applet called "-c": the shell that was set is the one that ran.
  assert.match((await sandbox.shell("true")).stderr(), /-c: applet not found/);
});

homeTest("execDefault() refuses where nothing says what to run", async ({ create }) => {
  const sandbox = await create();
  await assert.rejects(sandbox.execDefault(), NoDefaultCommandError);
});

homeTest("execWith() and execStreamWith() do what the options do", async ({ create }) => {
  const sandbox = await create();
  const output = await sandbox.execWith("sh", (options) =>
    options
      .arg("-c")
      .args(['cat; pwd; id -u; echo "$A$B"; ulimit -n'])
      .cwd("/tmp")
      .user(TEST_USER.name)
      .env("A", "1")
      .envs({ B: "2" })
      .rlimit("nofile", 64)
      .stdinBytes("input\n")
      .timeout(60_000),
  );
  assert.equal(output.stdout(), `input\n/tmp\n${TEST_USER.uid}\n12\n64\n`);
  const run = await sandbox.execStreamWith("tty", (options) => options.tty().stdinPipe());
  assert.match((await run.collect()).stdout(), /^\/dev\/pts\/\d+\r\n$/);
});

homeTest("exec() runs 50 programs at once, each with its own output", async ({ create }) => {
  const sandbox = await create();
  const numbers = Array.from({ length: 50 }, (_, index) => index);
  const outputs = await Promise.all(
    numbers.map((number) => sandbox.shell(`echo ${number}; echo err ${number} >&2; exit ${number}`)),
  );
  assert.deepEqual(
    outputs.map((output) => [output.stdout(), output.stderr(), output.code]),
    numbers.map((number) => [`${number}\n`, `err ${number}\n`, number]),
  );
});

homeTest("exec() in the guest sees the host name, hosts, and no network but loopback", async ({ create }) => {
  const sandbox = await create({ name: "with_underscore" });
  const { stdout } = await collectText(
    sandbox.shell("hostname; cat /etc/hostname; ip -o link show up | wc -l"),
  );
  assert.equal(stdout, "with-underscore\nwith-underscore\n1\n");
  assert.match((await sandbox.exec("cat", ["/etc/hosts"])).stdout(), /127\.0\.1\.1\twith-underscore/);
  assert.equal((await sandbox.exec("ping", ["-c1", "localhost"])).code, 0);
});

async function collectText(
  run: Promise<{ stdout(): string; stderr(): string }>,
): Promise<{ stdout: string; stderr: string }> {
  const output = await run;
  return { stdout: output.stdout(), stderr: output.stderr() };
}
