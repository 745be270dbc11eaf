/** Mounts in real guests: directories of this machine, memory, and file systems of this process. @module */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type FileSystemProvider,
  InvalidConfigError,
  MemoryFileSystem,
  MountFailedError,
  Sandbox,
  type SandboxCreateOptions,
  Volume,
} from "../../mod.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { eventually, killProcessesOf } from "../support/processes.ts";
import { homeTest } from "../support/vm/vm.ts";

/** What a script writes; it must succeed. */
async function output(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.shell(script);
  assert.equal(result.code, 0, `${script}:\n${result.stdout()}${result.stderr()}`);
  return result.stdout();
}

homeTest("mounts: a directory and a file of this machine are the guest's, both ways", async ({ create }) => {
  using host = temporaryDirectory();
  mkdirSync(join(host.path, "project/sub"), { recursive: true });
  writeFileSync(join(host.path, "project/a.txt"), "from the host");
  writeFileSync(join(host.path, "app.conf"), "key=value");
  writeFileSync(join(host.path, "secret"), "not for guests");
  symlinkSync("../secret", join(host.path, "project/out"));
  const project = join(host.path, "project");
  const sandbox = await create({
    mounts: {
      "/app": project,
      "/app/sub": { tmpfs: true, sizeMiB: 4 },
      "/etc/app/app.conf": { bind: join(host.path, "app.conf"), readonly: true },
    },
  });
  assert.equal(await output(sandbox, "cat /app/a.txt /etc/app/app.conf"), "from the hostkey=value");
  // A link is followed in the guest, where there is no such file.
  assert.notEqual((await sandbox.shell("cat /app/out")).code, 0);
  assert.notEqual((await sandbox.shell("echo changed > /etc/app/app.conf")).code, 0);
  assert.equal(readFileSync(join(host.path, "app.conf"), "utf8"), "key=value");
  await output(sandbox, "mkdir /app/made && echo guest > /app/made/b.txt && chmod 640 /app/made/b.txt");
  assert.equal(readFileSync(join(project, "made/b.txt"), "utf8"), "guest\n");
  assert.equal(statSync(join(project, "made/b.txt")).mode & 0o777, 0o640);
  await output(sandbox, "echo hidden > /app/sub/c && mv /app/made/b.txt /app/d.txt && rmdir /app/made");
  assert.deepEqual(readdirSync(join(project, "sub")), []);
  assert.equal(readFileSync(join(project, "d.txt"), "utf8"), "guest\n");
  const bytes = await output(
    sandbox,
    "dd if=/dev/urandom of=/app/big bs=64k count=64 2>/dev/null && cp /app/big /tmp/big && cmp /app/big /tmp/big && wc -c < /app/big",
  );
  assert.equal(bytes.trim(), String(4 * 1024 * 1024));
});

homeTest(
  "mounts: what was written is on this machine after a stop, and there again after a start; what was synced, after a kill",
  async ({ create, home }) => {
    using host = temporaryDirectory();
    const sandbox = await create({ mounts: { "/data": host.path } });
    await output(sandbox, "exec 3> /data/open && echo kept >&3 && (sleep 1000 <&3 &) && echo done");
    await sandbox.stop();
    assert.equal(readFileSync(join(host.path, "open"), "utf8"), "kept\n");
    writeFileSync(join(host.path, "new"), "while it was stopped");
    await using again = await Sandbox.start(sandbox.name);
    assert.equal(await output(again, "cat /data/open /data/new"), "kept\nwhile it was stopped");

    const script =
      "i=0; while i=$((i + 1)); do echo $i | dd of=/data/log oflag=append conv=notrunc,fsync 2>/dev/null; echo $i; done";
    await using writer = await again.execStream("sh", ["-c", script]);
    let synced = "";
    for await (const chunk of writer.stdout) {
      synced += new TextDecoder().decode(chunk);
      if (synced.split("\n").length > 20) break;
    }
    killProcessesOf(home); // while it writes
    await eventually(async () => assert.equal((await Sandbox.get(sandbox.name)).status, "crashed"));
    const told = synced.slice(0, synced.lastIndexOf("\n") + 1);
    assert.equal(readFileSync(join(host.path, "log"), "utf8").slice(0, told.length), told);
    await using last = await Sandbox.start(sandbox.name);
    assert.match(await output(last, "cat /data/log"), /^1\n2\n/);
  },
);

homeTest(
  "mounts.add() and mounts.remove() work while programs run, and a busy one stays",
  async ({ create, home }) => {
    using host = temporaryDirectory();
    writeFileSync(join(host.path, "a"), "A");
    const sandbox = await create();
    await sandbox.mounts.add("/late", host.path);
    await sandbox.mounts.add("/memory", { tmpfs: true });
    assert.equal(await output(sandbox, "cat /late/a; touch /memory/x; ls /memory"), "Ax\n");
    await using busy = await sandbox.execStream("sh", ["-c", "cd /late && echo in && exec sleep 1000"]);
    await busy.stdout.getReader().read();
    await assert.rejects(sandbox.mounts.remove("/late"), MountFailedError);
    assert.equal(await output(sandbox, "cat /late/a"), "A");
    await busy.kill();
    await busy.wait();
    await sandbox.mounts.remove("/late");
    assert.equal(await output(sandbox, "ls /late"), "");
    await assert.rejects(sandbox.mounts.remove("/nothing"), MountFailedError);
    await assert.rejects(sandbox.mounts.remove("/memory"), {
      code: "mountFailed",
      message: /until the sandbox stops/,
    });
    await assert.rejects(sandbox.mounts.add("/etc/hostname/x", host.path), MountFailedError);
    await assert.rejects(sandbox.mounts.add("/proc/x", host.path), InvalidConfigError);
    await sandbox.mounts.add("/outer/inner", host.path);
    await assert.rejects(
      sandbox.mounts.add("/outer", host.path),
      /would hide what is mounted at \/outer\/inner/,
    );
    await assert.rejects(sandbox.mounts.add("/memory", { tmpfs: true }), /mounted already/);
    await assert.rejects(sandbox.mounts.add("/home-of-all", home), /home of all sandboxes/);
    await assert.rejects(sandbox.mounts.add("/ro", host.path, { readonly: true }), /options/);
    await assert.rejects(
      sandbox.mounts.add("/own", new MemoryFileSystem(), { readnly: true } as object),
      /readonly\?/,
    );
    for (const [target, kind] of [
      ["/disk", "disk"],
      ["/outer/inner", "directory"],
    ] as const)
      await assert.rejects(sandbox.mounts.add(target, { volume: "left", mode: "create", kind }));
    await sandbox.mounts.add("/volume", { volume: "kept", mode: "create" });
    assert.deepEqual(
      (await Volume.list()).map(({ name }) => name),
      ["kept"],
    );
  },
);

homeTest(
  "mounts: a file system of this process is served by it, and its failures are the guest's",
  async ({ create }) => {
    const memory = new MemoryFileSystem({ "in.txt": "hello" });
    const sandbox = await create({ mounts: { "/shared": memory } });
    await output(
      sandbox,
      "tr a-z A-Z < /shared/in.txt > /shared/out.txt && mkdir -p /shared/d/e && ln -s ../out.txt /shared/d/l",
    );
    assert.equal(memory.readText("/out.txt"), "HELLO");
    assert.equal(await output(sandbox, "cat /shared/d/l"), "HELLO");
    memory.writeFile("/later.txt", "from the program");
    assert.equal(await output(sandbox, "cat /shared/later.txt"), "from the program");

    const broken: FileSystemProvider = {
      attributes: (path) =>
        path === "/bad" ? Promise.reject(new Error("no disk")) : memory.attributes(path),
      list: (path) => memory.list(path),
      open: async (path, options) => memory.open(path, options),
    };
    await sandbox.mounts.add("/broken", broken);
    assert.equal(await output(sandbox, "cat /broken/in.txt"), "hello");
    assert.match((await sandbox.shell("cat /broken/bad")).stderr(), /Input\/output error/);
    assert.match((await sandbox.shell("mkdir /broken/new")).stderr(), /Read-only/);
    await sandbox.mounts.remove("/shared");
    assert.equal(await output(sandbox, "ls /shared"), "");
  },
);

homeTest("create() refuses mounts that cannot be, and leaves nothing", async ({ create, home }) => {
  using host = temporaryDirectory();
  const refused: readonly SandboxCreateOptions["mounts"][] = [
    { "/": host.path },
    { "/proc/x": host.path },
    { relative: host.path },
    { "/a/../b": host.path },
    { "/a": join(host.path, "missing") },
    { "/a": host.path, "/a/": host.path },
    { "/a": { tmpfs: true, sizeMiB: 0 } },
    { "/a": home },
    { "/a": new MemoryFileSystem(), "/a/b": host.path },
  ];
  for (const mounts of refused)
    await assert.rejects(create({ mounts }), InvalidConfigError, JSON.stringify(mounts));
  await assert.rejects(create({ mounts: { "/etc/hostname/x": host.path } }), /mount/);
  assert.ok(!existsSync(join(home, "sandboxes")) || readdirSync(join(home, "sandboxes")).length === 0);
});
