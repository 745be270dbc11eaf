/** What keeps a program alive that uses the library: work that it waits for, and nothing else. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { FakeHost } from "../../support/host/in_process_host.ts";
import { eventually } from "../../support/processes.ts";
import { within } from "../../support/within.ts";
import { appendMany, testLogs } from "../logs/support.ts";

const options = { skip: nativeAgentProblem };
const isBun = "Bun" in globalThis;
const CONFIG = new URL("../../../deno.json", import.meta.url).pathname;
const url = (path: string) => JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href);

/** Begins with a handle of a program that was started detached and runs for ten minutes. */
const PRELUDE = (path: string) => `
  import { AgentClient } from ${url("agent/client.ts")};
  import { ExecHandle } from ${url("sandbox/exec/exec_handle.ts")};
  const client = await AgentClient.connect(${JSON.stringify(path)});
  const start = (script) => ExecHandle.start({ connect: async () => client }, {
    start: {
      argv: ["sh", "-c", script], env: ["PATH=/usr/bin:/bin"], cwd: "/", user: "", rlimits: [], stdin: true, detached: true,
    },
    outputBytesMax: 1e6,
  });
  const handle = await start("echo first; sleep 600");
`;

/** Runs a program of this text; resolves with its exit code and output. */
async function runProgram(host: FakeHost, body: string): Promise<[number | null, string]> {
  using directory = temporaryDirectory();
  const program = join(directory.path, "program.ts");
  writeFileSync(program, PRELUDE(host.path) + body);
  // A program of a user, who has a configuration for the packages that the library needs.
  const args = isBun ? [program] : ["run", "-A", "--no-check", "--quiet", "--config", CONFIG, program];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const output = await text(child.stdout);
  return [(await closed)[0], output];
}

test(
  "ExecHandle of a detached program does not keep its process alive",
  async () => {
    await using host = await FakeHost.start();
    assert.deepEqual(await runProgram(host, "console.log(typeof handle.pid);"), [0, "number\n"]);
  },
  options,
);

test(
  "ExecHandle of a detached program keeps its process alive while it is waited for, by whichever call",
  async () => {
    await using host = await FakeHost.start();
    const body = `
      const short = () => start("sleep 0.2; read line; echo $line; exit 5");
      console.log((await (await start("sleep 0.2; exit 5")).wait()).code);
      const fed = await short();
      await (await fed.takeStdin()).write("sink\\n");
      console.log((await fed.collect()).stdout());
      const streamed = await short();
      const writer = streamed.stdin.getWriter();
      await writer.write(new TextEncoder().encode("stream\\n"));
      console.log(await new Response(streamed.stdout).text());
      await handle.recv();
      console.log((await handle.recv()).kind);
    `;
    assert.deepEqual(await runProgram(host, body), [0, "5\nsink\n\nstream\n\nstdout\n"]);
  },
  options,
);

test(
  "streams and watches of files that are left open do not keep their process alive, and those that wait for them do",
  async () => {
    await using host = await FakeHost.start();
    using directory = temporaryDirectory();
    const path = (name: string) => JSON.stringify(join(directory.path, name));
    const body = `
      import { SandboxFsOps } from ${url("sandbox/files/fs_ops.ts")};
      const fs = new SandboxFsOps({ connect: async () => client }, { user: "", cwd: "/" });
      await fs.write(${path("big")}, new Uint8Array(2_000_000));
      const read = await fs.readStream(${path("big")});
      console.log((await read.recv()).length > 0);
      const written = await fs.writeStream(${path("written")});
      await written.write("begun");
      const watch = fs.watch(${path("")});
      await watch.ready;
      const late = await start("sleep 0.5; echo changed > " + ${path("late")});
      console.log((await watch.recv()).kind);
      await fs.rename(${path("big")}, "/tmp/msb-test-" + process.pid); // half a rename, whose other half it looks for
      for (let kind = ""; kind !== "removed"; ) kind = (await watch.recv()).kind;
      await fs.remove("/tmp/msb-test-" + process.pid);
      console.log("done");
    `;
    assert.deepEqual(await runProgram(host, body), [0, "true\ncreated\ndone\n"]);
  },
  options,
);

test("LogStream that is followed keeps its process alive while it is read, and not between", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  using directory = temporaryDirectory();
  const program = join(directory.path, "program.ts");
  writeFileSync(
    program,
    `
    import { openLogStream } from ${url("logs/log_stream.ts")};
    const source = { directory: ${JSON.stringify(logs.directory)}, sandboxId: ${JSON.stringify(logs.sandboxId)} };
    const stream = await openLogStream({ ...source, isTerminal: async () => false }, { follow: true });
    console.log((await stream.recv()).text().trim());
    console.log((await stream.recv()).text().trim());
  `,
  );
  const { file, args } = runtimeCommand(new URL(`file://${program}`));
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  await once(child.stdout, "readable");
  appendMany(writer, "later ", 1);
  assert.equal(await text(child.stdout), "line 0\nlater 0\n");
  assert.deepEqual(await closed, [0, null]);
});

/** Resolves when the server answers; bounded by the test's own time. */
async function isServed(address: string): Promise<string> {
  for (;;) {
    try {
      return await (await fetch(address)).text();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const SIGTERM_BIT = 1n << 14n;

/** Sends SIGTERM once the server handles it: a moment before, it would end any process. */
async function terminate(server: ChildProcess): Promise<unknown[]> {
  await eventually(() => {
    const [, caught = "0"] =
      /^SigCgt:\t(\w+)$/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8")) ?? [];
    assert.ok((BigInt(`0x${caught}`) & SIGTERM_BIT) !== 0n, "it handles SIGTERM");
  });
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  return await ended;
}

test(
  "deno serve of a program that runs something detached ends at its first SIGTERM",
  async () => {
    await using host = await FakeHost.start();
    using directory = temporaryDirectory();
    const program = join(directory.path, "program.ts");
    writeFileSync(
      program,
      `${PRELUDE(host.path)}\nexport default { fetch: () => new Response(String(typeof handle.pid)) };`,
    );
    const port = 20_000 + (process.pid % 20_000);
    const args = [
      "serve",
      "--allow-all",
      "--no-check",
      "--quiet",
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
    ];
    const server = spawn(process.execPath, [...args, "--config", CONFIG, program], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    try {
      assert.equal(await isServed(`http://127.0.0.1:${port}/`), "number");
      const [code, signal] = await within(20_000, "the end after SIGTERM", () => terminate(server));
      assert.ok(code === 0 || signal === "SIGTERM", `status ${code}, ${signal}`);
    } finally {
      server.kill("SIGKILL");
    }
  },
  { skip: nativeAgentProblem ?? (isBun ? "deno serve is Deno's" : undefined) },
);
