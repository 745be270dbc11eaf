/**
 * The file API in a real guest: against the guest's own programs, as its users, while it is paused, and through a whole stream.
 * `MSB_FILES_MIB=1024` sends that many through the streams.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { FileNotFoundError, PermissionDeniedError, Sandbox, SandboxFsOpsError } from "../../mod.ts";
import { hostProcesses } from "../support/processes.ts";
import { TEST_USER } from "../support/vm/images.ts";
import { homeTest } from "../support/vm/vm.ts";

const MiB = 1024 * 1024;
const STREAM_MIB = Number(process.env["MSB_FILES_MIB"] ?? 64);
/** Above what they have at the start. */
const GROWTH_BYTES_MAX = 64 * MiB;

/** What a script prints. */
async function printed(sandbox: Sandbox, script: string): Promise<string> {
  const output = await sandbox.shell(script);
  assert.equal(output.code, 0, output.stderr());
  return output.stdout();
}

homeTest("SandboxFsOps and programs in the guest see the same files", async ({ create }) => {
  const sandbox = await create();
  const fs = sandbox.fs();
  const content = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) ^ (index >>> 8));
  const hash = createHash("sha256").update(content).digest("hex");
  await fs.write("/srv/deep/er/file", content, { mode: 0o640 });
  assert.equal(await printed(sandbox, "sha256sum < /srv/deep/er/file | cut -c 1-64"), `${hash}\n`);
  assert.equal(
    await printed(sandbox, "stat -c '%a %u %g %s %F' /srv/deep/er/file"),
    "640 0 0 300000 regular file\n",
  );
  await sandbox.shell(
    "cd /srv && mkdir of && mkfifo of/fifo && ln -s /etc/passwd of/link && printf x > \"of/$(printf 'a\\nb')\"",
  );
  const entries = await fs.list("/srv/of");
  assert.deepEqual(
    entries.map(({ name, type, target }) => [name, type, target]),
    [
      ["a\nb", "file", null],
      ["fifo", "fifo", null],
      ["link", "symlink", "/etc/passwd"],
    ],
  );
  assert.equal(await fs.readToString("/srv/of/link"), await printed(sandbox, "cat /etc/passwd"));
  assert.match(await fs.readToString("/proc/1/status"), /^Name:/);
  const found: string[] = [];
  for await (const { path } of fs.walk("/srv")) found.push(path);
  assert.deepEqual(
    found.sort(),
    (await printed(sandbox, "find /srv -print0")).split("\0").slice(0, -1).sort(),
  );
  await fs.copy("/srv/deep", "/srv/copy", { recursive: true });
  await fs.rename("/srv/copy/er/file", "/srv/moved");
  await fs.removeDir("/srv/deep", { recursive: true });
  assert.equal(
    await printed(sandbox, "ls /srv; sha256sum < /srv/moved | cut -c 1-64"),
    `copy\nmoved\nof\n${hash}\n`,
  );
  await assert.rejects(fs.read("/srv/deep/er/file"), FileNotFoundError);
  const replaced = await fs.makeTemp({ directory: "/srv" });
  await fs.write(replaced, "new", { atomic: true, sync: true });
  assert.equal(await printed(sandbox, `cat ${replaced}; ls -A /srv | grep -c new- || true`), "new0\n");
  await sandbox.stop();
});

homeTest(
  "SandboxFsOps works as the sandbox's user, from its directory on, and as another if asked to",
  async ({ create }) => {
    const sandbox = await create({ user: TEST_USER.name, workdir: "/tmp" });
    const fs = sandbox.fs();
    await fs.write("mine", "1");
    assert.equal(await printed(sandbox, "stat -c %U /tmp/mine"), `${TEST_USER.name}\n`);
    await assert.rejects(fs.write("/etc/theirs", "1"), PermissionDeniedError);
    await fs.write("/etc/theirs", "1", { user: "root" });
    await fs.chown("mine", "root:root", { user: "root" });
    assert.equal(await printed(sandbox, "stat -c '%U %G' /tmp/mine"), "root root\n");
    assert.equal(await fs.access("mine", { write: true }), false);
    assert.equal(await (await Sandbox.get(sandbox.name)).fs().readToString("mine"), "1");
    await sandbox.stop();
  },
);

homeTest("SandboxFsOps.watch() tells what programs in the guest do", async ({ create }) => {
  const sandbox = await create();
  const fs = sandbox.fs();
  await fs.mkdir("/srv/watched");
  await using watch = fs.watch("/srv/watched", { recursive: true });
  await watch.ready;
  await sandbox.shell(
    "cd /srv/watched && mkdir sub && echo x > sub/file && mv sub/file sub/other && rm -r sub",
  );
  const seen: string[] = [];
  for await (const { kind, path } of watch) {
    seen.push(`${kind} ${path}`);
    if (seen.at(-1) === "removed /srv/watched/sub") break;
  }
  const once = [...new Set(seen)]; // what is made in a new directory may be told twice
  for (const change of [
    "created /srv/watched/sub",
    "created /srv/watched/sub/file",
    "renamed /srv/watched/sub/other",
  ])
    assert.ok(once.includes(change), `${change} is not among ${once.join(", ")}`);
  await sandbox.stop();
});

homeTest(
  "SandboxFsOps says why it does nothing while the sandbox is paused, and after it has stopped",
  async ({ create }) => {
    const sandbox = await create();
    const fs = sandbox.fs();
    const stream = await fs.readStream("/dev/zero");
    await stream.recv();
    await sandbox.pause();
    const paused = (error: unknown) => error instanceof SandboxFsOpsError && error.kind === "paused";
    await assert.rejects(fs.read("/etc/passwd"), paused);
    await assert.rejects(stream.collect(), paused);
    await sandbox.resume();
    assert.match(await fs.readToString("/etc/passwd"), /^root:/);
    await sandbox.stop();
    await assert.rejects(fs.read("/etc/passwd"), { code: "sandboxNotRunning" });
  },
);

homeTest(
  `SandboxFsOps sends ${STREAM_MIB} MiB in and out by streams, and neither client nor host grows`,
  async ({ create, home }) => {
    const sandbox = await create({ diskMiB: STREAM_MIB + 512 });
    const fs = sandbox.fs();
    const [host] = hostProcesses(home);
    assert.ok(host !== undefined);
    await fs.exists("/");
    const before = { client: rss(process.pid), host: rss(host.pid) };
    const grown = { client: 0, host: 0 };
    const look = () => {
      grown.client = Math.max(grown.client, rss(process.pid) - before.client);
      grown.host = Math.max(grown.host, rss(host.pid) - before.host);
    };
    const sent = createHash("sha256");
    const chunk = Uint8Array.from({ length: MiB }, (_, index) => (index * 131) ^ (index >>> 8));
    const sink = await fs.writeStream("/srv/large");
    for (let i = 0; i < STREAM_MIB; i++) {
      chunk.fill(i, 0, 100);
      sent.update(chunk);
      await sink.write(chunk); // which has it copied when it resolves
      look();
    }
    await sink.close();
    const received = createHash("sha256");
    for await (const piece of await fs.readStream("/srv/large")) {
      received.update(piece);
      look();
    }
    assert.equal(received.digest("hex"), sent.digest("hex"));
    assert.ok(grown.client < GROWTH_BYTES_MAX, `the client has grown by ${grown.client} bytes`);
    assert.ok(grown.host < GROWTH_BYTES_MAX, `the host process has grown by ${grown.host} bytes`);
    await sandbox.stop();
  },
  { timeoutMs: 900_000 },
);

function rss(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
