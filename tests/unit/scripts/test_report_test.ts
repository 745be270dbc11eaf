import assert from "node:assert/strict";
import { countOf, failuresOf } from "../../../scripts/test_report.ts";
import { test } from "../../support/harness.ts";

const BUN_OUTPUT = `bun test v1.4.5

tests/a_test.ts:
(pass) one passes [1.00ms]
12 | code
AssertionError: 1 is not 2
(fail) one fails [2.00ms]
(skip) one is skipped [skipped: no reason]

tests/b_test.ts:
Error: another
(fail) another fails

2 tests failed:
(fail) one fails [2.00ms]
(fail) another fails

 1 pass
 1 skip
 2 fail
Ran 4 tests across 2 files. [1.00s]
`;

const DENO_OUTPUT = `running 2 tests from ./tests/a_test.ts
one passes ... ok (1ms)
one fails ... FAILED (2ms)

 ERRORS 

one fails => ./tests/a_test.ts:1:1
error: AssertionError: 1 is not 2

 FAILURES 

one fails => ./tests/a_test.ts:1:1

FAILED | 1 passed | 1 failed | 3 ignored (5ms)
`;

test("countOf() adds up what each runner counts", () => {
  assert.deepEqual(countOf("bun", BUN_OUTPUT, 1), { passed: 1, failed: 2, skipped: 1 });
  assert.deepEqual(countOf("deno", DENO_OUTPUT, 1), { passed: 1, failed: 1, skipped: 3 });
  assert.deepEqual(countOf("exit", "", 0), { passed: 1, failed: 0, skipped: 0 });
});

test("countOf() takes neither a run without tests nor a failure without a count for a pass", () => {
  assert.deepEqual(countOf("bun", "", 0), { passed: 0, failed: 1, skipped: 0 });
  assert.deepEqual(countOf("deno", "ok | 4 passed | 0 failed", 137), { passed: 4, failed: 1, skipped: 0 });
  assert.equal(countOf("exit", "", 2).failed, 1);
});

test("failuresOf() repeats each failed test with its error, and no other", () => {
  assert.equal(
    failuresOf("bun", BUN_OUTPUT),
    "12 | code\nAssertionError: 1 is not 2\n(fail) one fails [2.00ms]\nError: another\n(fail) another fails",
  );
  const deno = failuresOf("deno", DENO_OUTPUT);
  assert.match(deno, /^ ERRORS \n/);
  assert.doesNotMatch(deno, /one passes/);
});

test("failuresOf() repeats the end of an output that names no failed test", () => {
  const lines = Array.from({ length: 500 }, (_, index) => `line ${index}`).join("\n");
  const shown = failuresOf("exit", lines).split("\n");
  assert.equal(shown.at(-1), "line 499");
  assert.ok(shown.length < 100);
});
