/** Faces over a backend that has nothing to do with this machine's. @module */
import assert from "node:assert/strict";
import { Sandbox, SandboxManager, Volume, VolumeNotFoundError } from "../../../mod.ts";
import { overMemory } from "../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const image = "none";
const memoryMiB = 128;
const IN_GUEST = { cwd: "/", env: { PATH: "/usr/bin:/bin" } } as const;

test(
  "Sandbox runs programs, stops, starts and is removed over another backend",
  () =>
    overMemory(async () => {
      const sandbox = await Sandbox.create({ name: "web", image, memoryMiB });
      assert.equal(sandbox.ownsLifecycle, true);
      const output = await sandbox.exec("sh", ["-c", "echo out; exit 3"], IN_GUEST);
      assert.deepEqual([output.code, output.stdout()], [3, "out\n"]);
      await assert.rejects(Sandbox.create({ name: "web", image, memoryMiB }), {
        code: "sandboxAlreadyExists",
      });
      const ended = sandbox.waitUntilStopped();
      await sandbox.stop();
      assert.deepEqual((await ended).status, "stopped");
      const handle = await Sandbox.get("web");
      assert.equal(handle.status, "stopped");
      const again = await handle.start();
      assert.equal(sandbox.ownsLifecycle, false);
      await assert.rejects(Sandbox.remove("web"), { code: "sandboxStillRunning" });
      await again.destroy();
      await assert.rejects(Sandbox.get("web"), { code: "sandboxNotFound" });
    }),
  { skip: nativeAgentProblem },
);

test(
  "Sandbox.list() and Sandbox.events() page and follow over another backend",
  () =>
    overMemory(async () => {
      const events = Sandbox.events({ follow: true })[Symbol.asyncIterator]();
      const first = events.next();
      for (const name of ["one", "two", "three"]) await Sandbox.create({ name, image, memoryMiB });
      assert.deepEqual((await first).value?.action, "created");
      const page = await Sandbox.list({ limit: 2 });
      assert.deepEqual(
        page.sandboxes.map(({ name }) => name),
        ["one", "two"],
      );
      const names: string[] = [];
      for await (const { name } of Sandbox.list({ limit: 2 })) names.push(name);
      assert.deepEqual(names, ["one", "two", "three"]);
      await events.return?.();
    }),
  { skip: nativeAgentProblem },
);

test(
  "SandboxManager creates, runs in, lists and removes sandboxes over another backend",
  () =>
    overMemory(async () => {
      await using manager = new SandboxManager({ defaults: { image, memoryMiB } });
      const events = manager.subscribeEvents()[Symbol.asyncIterator]();
      const { id } = await manager.createSandbox({ name: "job" });
      while ((await events.next()).value?.action !== "ready");
      await events.return?.();
      let output = "";
      for await (const chunk of await manager.runInSandbox(id, { cmd: ["echo", "hello"], ...IN_GUEST }))
        if (chunk.stream === "stdout") output += new TextDecoder().decode(chunk.data);
      assert.equal(output, "hello\n");
      const listed = await manager.listSandboxes();
      assert.deepEqual(
        listed.map((summary) => [summary.id, summary.name]),
        [[id, "job"]],
      );
      await manager.removeSandbox(id, true);
      assert.deepEqual(await manager.listSandboxes(), []);
    }),
  { skip: nativeAgentProblem },
);

test(
  "Job is started, listed, fed, signalled and waited for over another backend, from another face",
  () =>
    overMemory(async () => {
      const sandbox = await Sandbox.create({ name: "web", image, memoryMiB });
      const script = "while read line; do echo $line; done; exit 5";
      const job = await sandbox.startJob("sh", ["-c", script], {
        ...IN_GUEST,
        name: "reader",
        stdin: "pipe",
      });
      assert.deepEqual([job.name, job.status, job.command], ["reader", "running", ["sh", "-c", script]]);
      await assert.rejects(sandbox.startJob({ command: "true", name: "reader", ...IN_GUEST }), {
        code: "jobNameTaken",
        jobId: job.id,
      });
      const handle = await Sandbox.get("web");
      const again = await handle.job("reader");
      assert.deepEqual([again.id, again.pid, again.exit], [job.id, job.pid, undefined]);
      const ended = again.wait();
      const writer = again.stdin.getWriter();
      await writer.write(new TextEncoder().encode("hello\n"));
      await writer.close();
      assert.deepEqual(await ended, { code: 5, success: false, signal: undefined, signalName: undefined });

      const sleeper = await sandbox.startJob({ command: "sleep", args: ["1000"], ...IN_GUEST });
      const waiting = (await handle.job(sleeper.id)).wait();
      await (await handle.job(sleeper.id)).signal("SIGTERM");
      assert.equal((await waiting).signalName, "SIGTERM");
      await sleeper.kill(); // of one that has ended: nothing

      const forever = await sandbox.startJob("sleep", ["1000"], IN_GUEST);
      await assert.rejects(forever.wait({ timeoutMs: 1 }), { code: "timeout" });
      await assert.rejects(forever.wait({ signal: AbortSignal.abort() }), { code: "aborted" });
      const lost = forever.wait();
      const rejected = assert.rejects(lost, { code: "jobLost", jobId: forever.id });
      await sandbox.stop();
      await rejected;
      assert.deepEqual(
        (await handle.jobs()).map(({ status, exit }) => [status, exit?.code]),
        [
          ["exited", 5],
          ["exited", 143],
          ["lost", undefined],
        ],
      );
      await assert.rejects(handle.job("absent"), { code: "jobNotFound", job: "absent", sandbox: "web" });
      await assert.rejects((await handle.job(forever.id)).stdin.getWriter().write(new Uint8Array(1)), {
        code: "jobEnded",
      });
    }),
  { skip: nativeAgentProblem },
);

test("Sandbox.startJob() refuses what is no job, before anything is started", () =>
  overMemory(async (backend) => {
    const sandbox = await Sandbox.create({ name: "web", image, memoryMiB });
    const start = (options: object) => sandbox.startJob("true", [], { ...IN_GUEST, ...options });
    for (const options of [
      { name: "" },
      { name: "a b" },
      { name: "-a" },
      { name: "x".repeat(129) },
      { timeoutMs: 1 },
      { detached: true },
      { outputBytesMax: 1 },
      { nmae: "x" },
      { stdin: "text" },
    ])
      await assert.rejects(start(options), { code: "invalidConfig" }, JSON.stringify(options));
    await assert.rejects(start({ signal: AbortSignal.abort() }), { code: "aborted" });
    await assert.rejects(sandbox.startJob("/no/such", [], IN_GUEST), {
      code: "execFailed",
      kind: "notFound",
    });
    assert.deepEqual(
      (await sandbox.jobs()).map(({ status }) => status),
      ["failed"],
    );
    const fed = await sandbox.startJob("sh", ["-c", "cat | wc -c; cat"], {
      ...IN_GUEST,
      stdin: new Uint8Array(400_000),
    });
    assert.equal((await fed.wait()).code, 0);
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("gone")),
    });
    const killed = await sandbox.startJob("sleep", ["1000"], { ...IN_GUEST, stdin: broken });
    assert.equal((await killed.wait()).signalName, "SIGKILL");
    assert.equal(backend.sandboxes.size, 1);
  }));

test("Volume and its files need nothing but the seam", () =>
  overMemory(async () => {
    const volume = await Volume.create({ name: "cache", labels: { team: "blue" } });
    const fs = volume.fs();
    await fs.write("/a/b", "hello", { atomic: true });
    await fs.copy("/a", "/c", { recursive: true });
    await fs.rename("/c/b", "/c/d");
    assert.equal(await (await Volume.get("cache")).fs().readToString("/c/d"), "hello");
    assert.deepEqual(
      (await fs.list("/")).map(({ name, kind }) => [name, kind]),
      [
        ["a", "directory"],
        ["c", "directory"],
      ],
    );
    await fs.removeDir("/c", { recursive: true });
    assert.deepEqual([await fs.exists("/c"), (await fs.stat("/a/b")).size], [false, 5]);
    const [handle] = await Volume.list({ labels: { team: "blue" } });
    await handle?.remove();
    await assert.rejects(fs.list("/"), VolumeNotFoundError);
  }));
