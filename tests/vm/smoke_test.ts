/**
 * The main job, end to end: what a first user does. Runs on every engine, from Bun and from Deno.
 *
 * @module
 */
import assert from "node:assert/strict";
import { doctor, Sandbox, SandboxNotFoundError, SandboxNotRunningError } from "../../mod.ts";
import { vmTest } from "../support/harness.ts";
import { homeTest } from "../support/vm/vm.ts";

vmTest("doctor() names the engine that runs the following tests", async () => {
  const report = await doctor();
  assert.equal(report.engine, process.env["MSB_ENGINE"] ?? report.engine);
  assert.ok(report.engine === "krun" || report.engine === "qemu");
  assert.notEqual(report.reason, "");
  assert.equal(typeof report.libkrunfw, "string");
  for (const { message, hint } of report.problems) assert.ok(message !== "" && hint !== "");
});

homeTest("Sandbox boots, runs programs, stops, starts with its writes, and is removed", async ({ image }) => {
  const sb = await Sandbox.builder("hello").image(image).cpus(1).memory(512).replace().create();

  const out = await sb.exec("uname", ["-a"]);
  assert.equal(out.code, 0);
  assert.equal(out.success, true);
  assert.match(out.stdout(), /^Linux hello 6\./);
  assert.equal(out.stderr(), "");
  assert.deepEqual(out.stdoutBytes(), new TextEncoder().encode(out.stdout()));

  const seen: string[] = [];
  for await (const ev of await sb.execStream("sh", ["-c", "echo a; echo b >&2; exit 7"])) {
    if (ev.kind === "started") seen.push(`started ${ev.pid > 1}`);
    else if (ev.kind === "exited") seen.push(`exited ${ev.code}`);
    else if ("data" in ev) seen.push(`${ev.kind} ${new TextDecoder().decode(ev.data)}`);
  }
  assert.deepEqual([seen[0], seen.at(-1)], ["started true", "exited 7"]);
  assert.deepEqual(seen.slice(1, -1).toSorted(), ["stderr b\n", "stdout a\n"]);

  await sb.shell("echo kept > /root/note");
  await sb.stop();
  assert.equal((await Sandbox.get("hello")).status, "stopped");
  await assert.rejects(sb.exec("true"), SandboxNotRunningError);

  const again = await Sandbox.start("hello");
  assert.equal(again.id, sb.id);
  assert.equal((await again.exec("cat", ["/root/note"])).stdout(), "kept\n");
  await again.stop();
  await Sandbox.remove("hello");
  await assert.rejects(Sandbox.get("hello"), SandboxNotFoundError);
});

homeTest("Sandbox stops at the end of its `await using` scope", async ({ image }) => {
  {
    await using sandbox = await Sandbox.builder("scoped").image(image).memory(256).create();
    assert.equal((await sandbox.ping()).name, "scoped");
    assert.equal((await Sandbox.get("scoped")).status, "running");
  }
  assert.equal((await Sandbox.get("scoped")).status, "stopped");
  await Sandbox.remove("scoped");
});
