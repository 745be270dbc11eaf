/** Options of attached programs in fluent form. @module */
import assert from "node:assert/strict";
import { AttachOptionsBuilder } from "../../../../mod.ts";
import { test } from "../../../support/harness.ts";

test("AttachOptionsBuilder collects exactly what the options say", () => {
  const { signal } = new AbortController();
  const builder = new AttachOptionsBuilder()
    .arg("a")
    .args(["b", "c"])
    .cwd("/w")
    .user("u")
    .env("A", "1")
    .envs({ B: "2" })
    .timeout(5)
    .detachKeys("ctrl-]")
    .rlimit("core", 0)
    .rlimitRange("nofile", 1, 2)
    .signal(signal);
  const { args, options } = builder.build();
  assert.deepEqual(options, {
    cwd: "/w",
    user: "u",
    env: { A: "1", B: "2" },
    timeoutMs: 5,
    detachKeys: "ctrl-]",
    rlimits: { core: { soft: 0, hard: 0 }, nofile: { soft: 1, hard: 2 } },
    signal,
  });
  builder.arg("later").detachKeys(false);
  assert.deepEqual(args, ["a", "b", "c"]); // what was built stays
  assert.deepEqual([builder.build().args.length, builder.build().options.detachKeys], [4, false]);
});
