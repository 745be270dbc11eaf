/** The example that serves a log: a browser gets what the sandbox prints. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { ROOT } from "../contract/source_files.ts";
import { vmTest } from "../support/harness.ts";
import { eventually } from "../support/processes.ts";
import { imageProblem } from "../support/vm/images.ts";
import { withSampleHome } from "./sample_home.ts";

const EXAMPLE = join(ROOT, "examples", "live_log.ts");
/** The server listens once its sandbox has booted. */
const READY_TIMEOUT_MS = 60_000;

for (const runtime of ["bun", "deno"] as const) {
  vmTest(
    `examples/live_log.ts serves its page and its log on ${runtime}`,
    () =>
      withSampleHome(async ({ cwd, home }) => {
        const port = await freePort();
        const args =
          runtime === "bun"
            ? [EXAMPLE]
            : [
                "serve",
                "--allow-all",
                "--no-check",
                "--quiet",
                "--port",
                `${port}`,
                "--host",
                "127.0.0.1",
                EXAMPLE,
              ];
        const env = { ...process.env, MSB_HOME: home, PORT: `${port}`, ROOTFS: join(cwd, "rootfs") };
        // In the checkout, as `deno serve` looks for deno.json where it is started.
        // A group of its own: `deno` may be a wrapper, which takes no other process with it when it is killed.
        const child = spawn(runtime, args, { cwd: ROOT, env, stdio: "ignore", detached: true });
        try {
          const at = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
          await eventually(
            async () => assert.match(await (await at("/")).text(), /<title>Live log/),
            READY_TIMEOUT_MS,
          );
          const { body } = await at("/log");
          assert.ok(body !== null);
          assert.match(await firstEvent(body), /^data: \{.*"s":"stdout".*"d":".*\\n"/m);
        } finally {
          if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        }
      }),
    { missing: imageProblem },
  );
}

/** The text of a stream until it has the data of an event. */
async function firstEvent(body: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    if (/^data: .*\n/m.test(text)) break;
  }
  return text;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("the port is unknown");
  return address.port;
}
