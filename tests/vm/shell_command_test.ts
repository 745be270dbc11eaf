/** `sandbox.$` and signals in a real guest. @module */
import assert from "node:assert/strict";
import { ExecExitError, InvalidConfigError } from "../../mod.ts";
import { seededRandom } from "../support/random.ts";
import { shellSample } from "../support/shell_samples.ts";
import { TEST_USER } from "../support/vm/images.ts";
import { homeTest } from "../support/vm/vm.ts";

const SCRIPTS = 20;
const FRAGMENTS_A_SCRIPT = 10;

homeTest(
  "sandbox.$ passes each value as one word, byte for byte, in the guest's shell",
  async ({ create }) => {
    const sandbox = await create();
    const random = seededRandom("words in a guest");
    for (let count = 0; count < SCRIPTS; count++) {
      const { strings, values, expected } = shellSample(random, FRAGMENTS_A_SCRIPT);
      const output = await sandbox.$(strings, ...values);
      const script = `${JSON.stringify(strings)} with ${JSON.stringify(values.map(String))}`;
      assert.deepEqual(
        [output.stderr(), Buffer.from(output.stdoutBytes())],
        ["", Buffer.from(expected)],
        script,
      );
    }
  },
);

homeTest("sandbox.$ archives and unpacks files of any name", async ({ create }) => {
  const { $ } = await create();
  const directory = "/tmp/it's $(here)\n*";
  const names = ["-rf", "new\nline", "*", Uint8Array.of(0x2f, 0xff, 0xfe).subarray(1), "ü", " "];
  await $`mkdir -p -- ${directory}/in ${directory}/out`;
  for (const name of names) await $`cat > ${directory}/in/${name}`.stdin(name);
  await $`tar cf ${directory}/all.tar -C ${directory}/in . && tar xf ${directory}/all.tar -C ${directory}/out`;
  assert.equal(await $`set -- ${directory}/out/*; echo $#`.text(), `${names.length}\n`);
  for (const name of names) {
    const bytes = typeof name === "string" ? new TextEncoder().encode(name) : name;
    assert.deepEqual(Buffer.from(await $`cat ${directory}/out/${name}`.bytes()), Buffer.from(bytes));
  }
});

homeTest("sandbox.$ runs as the sandbox says, unless the command says otherwise", async (test) => {
  const sandbox = await test.create({ workdir: "/tmp", env: { A: "sandbox" }, user: TEST_USER.name });
  const $ = sandbox.$({ env: { B: "tag" } });
  assert.equal(await $`pwd; id -u; echo $A $B`.text(), `/tmp\n${TEST_USER.uid}\nsandbox tag\n`);
  assert.equal(
    await $`pwd; id -u; echo $A $B`.cwd("/").user("0").env({ A: "call" }).text(),
    "/\n0\ncall tag\n",
  );
});

homeTest("sandbox.$ rejects if a command fails, and streams lines until then", async ({ create }) => {
  const { $ } = await create();
  await assert.rejects($`ls ${"/no such"}`, (error) => {
    assert.ok(error instanceof ExecExitError);
    assert.match(error.message, /^"ls '\/no such'" exited with code 1: .*No such file/);
    return true;
  });
  const lines: string[] = [];
  const reading = async () => {
    for await (const line of $`seq 1 3; exit 9`.lines()) lines.push(line);
  };
  await assert.rejects(reading(), { code: "execExit", exitCode: 9 });
  assert.deepEqual(lines, ["1", "2", "3"]);
});

homeTest(
  "ExecHandle.signal() takes a name, and results say which signal ended a program",
  async ({ create }) => {
    const sandbox = await create();
    for (const [signal, code] of [
      ["SIGTERM", 143],
      ["SIGUSR2", 140],
      ["SIGKILL", 137],
    ] as const) {
      const run = await sandbox.execStream("sleep", ["600"]);
      await run.signal(signal);
      assert.deepEqual(await run.wait(), { code, success: false, signal: code - 128, signalName: signal });
    }
    const outOfTime = await sandbox.shell("kill -s XCPU $$");
    assert.deepEqual([outOfTime.signal, outOfTime.signalName], [24, "SIGXCPU"]);
    await using run = await sandbox.execStream("sleep", ["600"]);
    await assert.rejects(run.signal("TERM" as "SIGTERM"), (error) => {
      assert.ok(error instanceof InvalidConfigError);
      return error.hint === 'did you mean "SIGTERM"?';
    });
  },
);
