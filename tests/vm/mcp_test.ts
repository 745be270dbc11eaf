/** `msb mcp` as clients start it, with the official client, in front of a real sandbox. @module */
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { Sandbox } from "../../mod.ts";
import { CLI_COMMAND } from "../support/cli/cli_process.ts";
import { callTool, useTool } from "../support/cli/mcp_client.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

homeTest("msb mcp gives an agent a sandbox, and stops it with the connection", async ({ image }) => {
  const [command = "", ...args] = CLI_COMMAND;
  const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ""]));
  const flags = ["mcp", "--image", image, `--memory=${MEMORY_MIB}M`];
  const client = new Client({ name: "test", version: "1" });
  await client.connect(
    new StdioClientTransport({ command, args: [...args, ...flags], env, stderr: "inherit" }),
  );
  const use = (tool: string, input: object) => useTool(client, tool, { sandbox: "agent", ...input });
  await useTool(client, "sandbox_create", { name: "agent" });
  await use("sandbox_write_file", { path: "/srv/index.html", content: "hello" });
  assert.equal((await use("sandbox_read_file", { path: "/srv/index.html" })).content, "hello");
  await use("sandbox_run", { command: "httpd -p 127.0.0.1:8080 -h /srv" });
  const { url } = await use("sandbox_publish_port", { port: 8080 });
  assert.equal(await (await fetch(`${url}index.html`)).text(), "hello");
  assert.equal((await use("sandbox_publish_port", { port: 8080 })).url, url);
  await use("sandbox_run_code", { language: "sh", code: "x=1", session: "s" });
  assert.equal(
    (await use("sandbox_run_code", { language: "sh", code: "echo $x", session: "s" })).stdout,
    "1\n",
  );
  const python = await callTool(client, "sandbox_run_code", {
    sandbox: "agent",
    language: "python",
    code: "1",
  });
  assert.deepEqual([python.isError, python.data.error.code], [true, "interpreterNotFound"]);
  assert.match(python.data.error.hint, /python:3/);
  assert.equal((await use("sandbox_stop", {})).status, "stopped");
  assert.equal((await use("sandbox_list_files", { path: "/srv" })).entries[0].name, "index.html");
  assert.match(JSON.stringify(await use("sandbox_logs", {})), /x=1|1\\n/);
  await client.close();
  const handle = await Sandbox.get("agent");
  assert.equal((await handle.waitUntilStopped({ timeoutMs: 60_000 })).status, "stopped");
  await handle.remove();
});
