/** Errors in the words of the command line, and the status that they exit with. @module */
import assert from "node:assert/strict";
import * as api from "../../../mod.ts";
import { describeError } from "../../../src/cli/error_text.ts";
import { statusOf } from "../../../src/cli/exit_status.ts";
import { BrokenPipeError } from "../../../src/cli/output.ts";
import { test } from "../../support/harness.ts";

test("describeError() has flags in the place of options", () => {
  const error = new api.InvalidConfigError([
    { field: "memoryMiB", problem: "too small" },
    { field: "rlimits.nofile", problem: "soft above hard" },
    { field: "unheardOf", problem: "odd" },
  ]);
  assert.deepEqual(describeError(error), {
    message: "--memory: too small; --rlimit nofile: soft above hard; unheardOf: odd",
    code: "invalidConfig",
    hint: undefined,
  });
});

test("describeError() has commands in the place of methods", () => {
  const { message, code, hint } = describeError(new api.SandboxAlreadyExistsError("web"));
  assert.deepEqual([message, code], ['A sandbox called "web" exists already', "sandboxAlreadyExists"]);
  assert.match(hint ?? "", /--replace/);
});

test("describeError() keeps the library's hint where that serves here, too", () => {
  const error = new api.UnsupportedError("cannot", { hint: "try this" });
  assert.deepEqual(describeError(error), { message: "cannot", code: "unsupported", hint: "try this" });
  assert.deepEqual(describeError("text"), { message: "text", code: undefined, hint: undefined });
});

test("statusOf() says how a program could not be run, as shells do", () => {
  const none = new Uint8Array();
  const failure = (kind: api.ExecFailureKind) => new api.ExecFailedError("x", kind, 0, "");
  const cases: readonly (readonly [unknown, number])[] = [
    [failure("notFound"), 127],
    [failure("permissionDenied"), 126],
    [failure("notExecutable"), 126],
    [failure("badUser"), 1],
    [new api.ExecTimeoutError("x", 1, none, none), 124],
    [new api.InvalidConfigError([]), 2],
    [new BrokenPipeError(), 141],
    [new api.InternalError("x"), 1],
    ["thrown text", 1],
  ];
  for (const [error, status] of cases) assert.equal(statusOf(error), status, String(error));
});
