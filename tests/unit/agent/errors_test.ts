import assert from "node:assert/strict";
import { ExecFailedError, MountFailedError } from "../../../src/agent/errors.ts";
import { test } from "../../support/harness.ts";

const hintOf = (command: string, kind: ConstructorParameters<typeof ExecFailedError>[1] = "notFound") =>
  new ExecFailedError(command, kind, 2, "No such file or directory").hint;

test("ExecFailedError points from a command line to shell()", () => {
  assert.equal(
    hintOf("ls -la /"),
    'run a command line with shell("ls -la /"), or pass arguments apart: exec("ls", ["-la", "/"])',
  );
});

test("ExecFailedError gives no hint for a plain name, another failure, or a very long line", () => {
  assert.equal(hintOf("lss"), undefined);
  assert.equal(hintOf("/opt/my"), undefined);
  assert.equal(hintOf("ls -la", "permissionDenied"), undefined);
  assert.equal(hintOf(`echo ${"x".repeat(1_000)}`), undefined);
});

test("MountFailedError has a hint for each reason of the sandbox or its host process", () => {
  const hint = (reason: string) => new MountFailedError("/m", 0, reason).hint;
  assert.match(hint("/m is mounted already") ?? "", /mounts\.remove/);
  assert.match(hint("programs in the sandbox use it") ?? "", /end the programs/);
  assert.equal(hint("out of memory"), undefined);
});
