/** `msb mcp` and the official client, over a backend in memory whose programs are this machine's. @module */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { Sandbox } from "../../../../mod.ts";
import { overMemory } from "../../../support/backend/over_memory.ts";
import { runCli } from "../../../support/cli/cli.ts";
import { callTool, useTool, withMcp } from "../../../support/cli/mcp_client.ts";
import { nativeAgentProblem, processEnd } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const options = { skip: nativeAgentProblem };
const env = { PATH: "/usr/bin:/bin" };
const create = (client: Client, name: string) =>
  useTool(client, "sandbox_create", { name, image: "none", memoryMiB: 128, env, workdir: "/" });

async function refuses(client: Client, name: string, input: Record<string, unknown>, code: string) {
  const { isError, data } = await callTool(client, name, input);
  assert.deepEqual([isError, data.error?.code], [true, code], JSON.stringify(data));
  return data.error;
}

test("msb mcp tells its tools, each with schemas and what it does", () =>
  overMemory(async () => {
    const { status } = await withMcp([], async (client) => {
      assert.equal(client.getServerVersion()?.name, "microsandbox");
      assert.match(client.getInstructions() ?? "", /virtual machine.*New sandboxes have no network/);
      const { tools } = await client.listTools();
      assert.deepEqual(tools.map(({ name }) => name).toSorted(), [
        "sandbox_create",
        "sandbox_list",
        "sandbox_list_files",
        "sandbox_logs",
        "sandbox_publish_port",
        "sandbox_read_file",
        "sandbox_remove",
        "sandbox_run",
        "sandbox_run_code",
        "sandbox_snapshot",
        "sandbox_stop",
        "sandbox_write_file",
      ]);
      for (const { name, title, description, inputSchema, outputSchema, annotations } of tools) {
        assert.ok(title && description, name);
        assert.equal(inputSchema["additionalProperties"], false, name);
        assert.equal(outputSchema?.type, "object", name);
        assert.equal(typeof annotations?.readOnlyHint, "boolean", name);
      }
      const run = tools.find(({ name }) => name === "sandbox_run");
      assert.deepEqual(run?.inputSchema.required, ["sandbox", "command"]);
    });
    assert.equal(status, 0);
    await withMcp(["--network", "user"], async (client) => {
      assert.match(client.getInstructions() ?? "", /reach public addresses/);
    });
  }));

test(
  "msb mcp runs programs, and tells what it cuts",
  () =>
    overMemory(async () => {
      await withMcp(["--max-output", "1"], async (client) => {
        const made = await create(client, "a");
        assert.deepEqual(made, { sandbox: "a", image: "none", memoryMiB: 128, status: "running" });
        const run = (input: object) => useTool(client, "sandbox_run", { sandbox: "a", ...input });
        const ran = await run({ command: "echo out; echo err >&2; exit 3" });
        assert.deepEqual([ran.exitCode, ran.stdout, ran.stderr, ran.timedOut], [3, "out\n", "err\n", false]);
        const words = await run({ command: "printf", args: ["[%s]", "a b", "$x"], env: { x: "1" } });
        assert.equal(words.stdout, "[a b][$x]");
        assert.equal(
          (await run({ command: "cat; pwd", stdin: "text\n", cwd: "/tmp" })).stdout,
          "text\n/tmp\n",
        );
        const long = await run({ command: "head -c 5000 /dev/zero | tr '\\0' x" });
        assert.deepEqual([long.stdout, long.stdoutOmittedBytes], ["x".repeat(1024), 5000 - 1024]);
        const late = await run({ command: "echo before; sleep 100", timeoutMs: 300 });
        assert.deepEqual([late.timedOut, late.exitCode, late.stdout], [true, null, "before\n"]);
        await refuses(client, "sandbox_run", { sandbox: "a", command: "absent", args: [] }, "execFailed");
        const unknown = await refuses(
          client,
          "sandbox_run",
          { sandbox: "b", command: "true" },
          "sandboxNotFound",
        );
        assert.equal(typeof unknown.message, "string");

        const code = (input: object) =>
          useTool(client, "sandbox_run_code", { sandbox: "a", language: "sh", ...input });
        assert.equal((await code({ code: "x=5", session: "s" })).sessionStarted, true);
        const kept = await code({ code: "echo $x; head -c 2000 /dev/zero", session: "s" });
        assert.deepEqual(
          [kept.success, kept.stdout.length, kept.stdoutOmittedBytes, kept.result, kept.error],
          [true, 1024, 2002 - 1024, null, null],
        );
        await refuses(
          client,
          "sandbox_run_code",
          { sandbox: "a", language: "sh", code: "sleep 100", timeoutMs: 200 },
          "codeTimeout",
        );
      });
    }),
  options,
);

test(
  "msb mcp writes, reads and lists files in parts",
  () =>
    overMemory(async () => {
      using directory = temporaryDirectory();
      await withMcp(["--max-output", "1"], async (client) => {
        await create(client, "a");
        const use = (tool: string, input: object) => useTool(client, tool, { sandbox: "a", ...input });
        const path = `${directory.path}/new/file`;
        const text = `${"ü".repeat(700)}end`;
        assert.deepEqual(await use("sandbox_write_file", { path, content: text }), { path, sizeBytes: 1403 });
        let [read, offset] = ["", 0];
        for (let omitted = 1; omitted > 0; ) {
          const part = await use("sandbox_read_file", { path, offset });
          assert.deepEqual([part.isText, part.sizeBytes], [true, 1403]);
          assert.ok(part.readBytes <= 1024);
          read += part.content;
          offset += part.readBytes;
          omitted = part.omittedBytes;
        }
        assert.equal(read, text);
        await use("sandbox_write_file", { path, content: "/wA=", encoding: "base64" });
        const bytes = await use("sandbox_read_file", { path, encoding: "base64" });
        assert.deepEqual([bytes.content, bytes.isText, bytes.omittedBytes], ["/wA=", false, 0]);
        assert.equal((await use("sandbox_read_file", { path })).isText, false);
        const { entries, omittedEntries } = await use("sandbox_list_files", { path: directory.path });
        assert.deepEqual(
          [entries.length, entries[0].name, entries[0].kind, omittedEntries],
          [1, "new", "directory", 0],
        );
        await use("sandbox_run", { command: `cd ${directory.path}/new && touch $(seq 1000 1999)` });
        const many = await use("sandbox_list_files", { path: `${directory.path}/new` });
        assert.deepEqual([many.entries.length, many.omittedEntries], [256, 1001 - 256]);
        await refuses(client, "sandbox_read_file", { sandbox: "a", path: `${path}2` }, "fileNotFound");
        const wrong = { sandbox: "a", path, content: "a!", encoding: "base64" };
        assert.equal(
          (await refuses(client, "sandbox_write_file", wrong, "invalidConfig")).issues[0].field,
          "content",
        );
      });
    }),
  options,
);

test(
  "msb mcp keeps to its limits, to its own sandboxes, and starts what has stopped",
  () =>
    overMemory(async () => {
      const other = await Sandbox.create({ name: "other", image: "none", memoryMiB: 128, env, workdir: "/" });
      const flags = ["--max-sandboxes", "2", "--memory", "256M", "--allow-image", "none"];
      await withMcp(flags, async (client) => {
        const creates = await Promise.all(["a", "b"].map((name) => create(client, name)));
        assert.equal(creates.length, 2);
        await refuses(client, "sandbox_create", { name: "c", image: "none" }, "limitReached");
        await useTool(client, "sandbox_remove", { sandbox: "b" });
        await refuses(client, "sandbox_create", { image: "none", memoryMiB: 512 }, "limitReached");
        await refuses(client, "sandbox_create", { image: "alpine" }, "notAllowed");
        await refuses(client, "sandbox_create", {}, "notAllowed");
        const { sandboxes } = await useTool(client, "sandbox_list", {});
        assert.deepEqual(
          sandboxes.map(({ sandbox }: { sandbox: string }) => sandbox),
          ["a"],
        );
        for (const tool of ["sandbox_stop", "sandbox_remove", "sandbox_logs"])
          await refuses(client, tool, { sandbox: "other" }, "sandboxNotFound");
        await refuses(client, "sandbox_run", { sandbox: "other", command: "true" }, "sandboxNotFound");

        const stopped = await useTool(client, "sandbox_stop", { sandbox: "a" });
        assert.deepEqual(stopped, { sandbox: "a", status: "stopped" });
        assert.equal(
          (await useTool(client, "sandbox_run", { sandbox: "a", command: "echo 1" })).stdout,
          "1\n",
        );
        assert.equal((await Sandbox.get("a")).status, "running");
        await useTool(client, "sandbox_stop", { sandbox: "a" });
        const count = { sandbox: "a", language: "sh", code: "n=$((n + 1)); echo $n", session: "s" };
        const counts = await Promise.all([1, 2, 3].map(() => useTool(client, "sandbox_run_code", count)));
        assert.deepEqual(counts.map(({ stdout }) => stdout).toSorted(), ["1\n", "2\n", "3\n"]);

        const bad = await callTool(client, "sandbox_run", { sandbox: "a", command: "true", cmd: "x" }).catch(
          String,
        );
        assert.match(JSON.stringify(bad), /cmd/);
      });
      assert.deepEqual(
        [(await Sandbox.get("a")).status, (await Sandbox.get("other")).status],
        ["stopped", "running"],
      );
      await withMcp(["--all", "--at-end", "remove"], async (client) => {
        assert.equal(
          (await useTool(client, "sandbox_run", { sandbox: "other", command: "echo 2" })).stdout,
          "2\n",
        );
        await useTool(client, "sandbox_run", { sandbox: "a", command: "true" });
      });
      assert.equal((await other.exec("true")).code, 0);
      const { sandboxes } = await Sandbox.list({ limit: 100 });
      assert.deepEqual(
        sandboxes.map(({ name }) => name),
        ["other"],
      );
      await withMcp(["--at-end", "keep"], async (client) => void (await create(client, "kept")));
      assert.equal((await Sandbox.get("kept")).status, "running");
    }),
  options,
);

test(
  "msb mcp accepts no path of this machine as an image, unless it is allowed",
  () =>
    overMemory(async () => {
      await withMcp([], async (client) => {
        for (const image of ["/", "./rootfs", "../x", "~/x", ".", "backup.tar", "a/b.tar.gz", "b.tgz"])
          await refuses(client, "sandbox_create", { image }, "notAllowed");
      });
      await withMcp(["--allow-image", "./rootfs"], async (client) => {
        const made = await useTool(client, "sandbox_create", { image: "./rootfs", name: "r" });
        assert.equal(made.image.endsWith("rootfs"), true);
      });
    }),
  options,
);

test(
  "msb mcp kills what a client cancels, and stops its sandboxes when a signal ends it",
  () =>
    overMemory(async () => {
      using directory = temporaryDirectory();
      const pidFile = `${directory.path}/pid`;
      const { status } = await withMcp([], async (client, signals) => {
        await create(client, "a");
        const cancel = new AbortController();
        const command = `echo $$ > ${pidFile}.new && mv ${pidFile}.new ${pidFile}; exec sleep 1000`;
        const running = client.callTool(
          { name: "sandbox_run", arguments: { sandbox: "a", command } },
          undefined,
          {
            signal: cancel.signal,
          },
        );
        const outcome = running.catch(() => "cancelled");
        await fileAppears(pidFile);
        cancel.abort();
        assert.equal(await outcome, "cancelled");
        await processEnd(Number(readFileSync(pidFile, "utf8")));
        signals.emit("SIGTERM");
      });
      assert.equal(status, 143);
      assert.equal((await Sandbox.get("a")).status, "stopped");
    }),
  options,
);

async function fileAppears(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5)); // the test's own time limit bounds it
}

test("msb mcp refuses flags that it does not know, and ends when nothing is said", async () => {
  for (const wrong of [
    ["--network", "tap"],
    ["--max-output", "0"],
    ["--at-end", "x"],
    ["--images", "x"],
  ])
    assert.equal((await runCli(["mcp", ...wrong])).status, 2, wrong.join(" "));
  assert.deepEqual(await runCli(["mcp"]), { status: 0, stdout: "", stderr: "" });
});
