import assert from "node:assert/strict";
import { suggestOption } from "../../../src/base/suggest_option.ts";
import { test } from "../../support/harness.ts";

const CREATE = [
  "name",
  "image",
  "fromSnapshot",
  "cpus",
  "memoryMiB",
  "diskMiB",
  "env",
  "workdir",
  "labels",
  "ports",
];
const EXEC = ["env", "cwd", "user", "tty", "timeoutMs", "stdin", "rlimits", "outputBytesMax"];

test("suggestOption() finds the option that was meant", () => {
  const rows: [string, readonly string[], string][] = [
    ["memory", CREATE, "memoryMiB"],
    ["mem", CREATE, "memoryMiB"],
    ["memory_mib", CREATE, "memoryMiB"],
    ["memoryMb", CREATE, "memoryMiB"],
    ["disk", CREATE, "diskMiB"],
    ["cpu", CREATE, "cpus"],
    ["vcpus", CREATE, "cpus"],
    ["snapshot", CREATE, "fromSnapshot"],
    ["environment", CREATE, "env"],
    ["cwd", CREATE, "workdir"],
    ["tags", CREATE, "labels"],
    ["port", CREATE, "ports"],
    ["timeout", EXEC, "timeoutMs"],
    ["timeoutms", EXEC, "timeoutMs"],
    ["timeoutMS", EXEC, "timeoutMs"],
    ["workdir", EXEC, "cwd"],
    ["workingDir", EXEC, "cwd"],
    ["pty", EXEC, "tty"],
    ["stdn", EXEC, "stdin"],
    ["outputBytes", EXEC, "outputBytesMax"],
  ];
  for (const [name, known, meant] of rows) assert.equal(suggestOption(name, known), meant, name);
});

test("suggestOption() does not guess where nothing comes close", () => {
  for (const name of ["volumes", "x", "", "constructor", "__proto__", "m".repeat(1_000_000)])
    assert.equal(suggestOption(name, CREATE), undefined, name.slice(0, 20));
});
