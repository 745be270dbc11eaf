/** Code in a real guest, with busybox's shell. @module */
import assert from "node:assert/strict";
import { CodeTimeoutError, InterpreterNotFoundError } from "../../mod.ts";
import { TEST_USER } from "../support/vm/images.ts";
import { homeTest } from "../support/vm/vm.ts";

homeTest(
  "runCode() keeps a shell in the guest, and says which interpreters are missing",
  async ({ create }) => {
    const sandbox = await create();
    const run = (source: string, more = {}) => sandbox.runCode("sh", source, { session: "s", ...more });
    assert.equal((await run('cd /etc; n=1; f() { echo "$PWD $n$1"; }')).sessionStarted, true);
    assert.equal((await run("  n=$((n + 1))\nf 'a  b'\ncat <<END\n\\$x\nEND")).stdout, "/etc 2a  b\n$x\n");
    const wrong = await run("echo before >&2\nif");
    assert.deepEqual([wrong.success, wrong.sessionEnded], [false, false]);
    assert.equal((await run("return 7")).exitCode, 7);
    assert.doesNotMatch((await run("set")).stdout, /[0-9a-f]{32}/);
    const cut = await run("head -c 3000000 /dev/zero", { outputBytesMax: 10 });
    assert.deepEqual([cut.stdout.length, cut.omittedBytes], [10, { stdout: 2_999_990, stderr: 0 }]);
    await assert.rejects(run("sleep 1000", { timeoutMs: 1000 }), CodeTimeoutError);
    const fresh = await run('echo "[$n]"; exit 3');
    assert.deepEqual([fresh.stdout, fresh.exitCode, fresh.sessionEnded], ["[]\n", 3, true]);
    assert.equal(
      (await sandbox.runCode("sh", "id -u", { user: TEST_USER.name })).stdout,
      `${TEST_USER.uid}\n`,
    );
    for (const language of ["python", "javascript"] as const)
      await assert.rejects(sandbox.runCode(language, "1"), InterpreterNotFoundError);
    const { processes } = await sandbox.processes();
    assert.deepEqual(
      processes.filter(({ command }) => /sleep|__msb/.test(command)),
      [],
    );
  },
);
