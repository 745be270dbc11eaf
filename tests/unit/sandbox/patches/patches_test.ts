/** Patches over a backend in memory, whose guests are this machine: what they write, `node:fs` sees. @module */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  FileExistsError,
  FileNotFoundError,
  Patch,
  PatchBuilder,
  PatchFailedError,
  PatchKinds,
  Sandbox,
  SandboxBuilder,
  SandboxManager,
  SandboxNotFoundError,
} from "../../../../mod.ts";
import type { MemoryBackend } from "../../../support/backend/memory_backend.ts";
import { overMemory } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

interface Place {
  readonly backend: MemoryBackend;
  /** The path of `name` in a directory of the test's own, which stands for the guest's root. */
  at(name: string): string;
  /** Creates a sandbox with these patches. */
  create(...patches: Patch[]): Promise<Sandbox>;
}

function patchTest(name: string, body: (place: Place) => Promise<void>): void {
  test(
    name,
    async () => {
      using directory = temporaryDirectory();
      const create = (...patches: Patch[]) =>
        Sandbox.create({ name: "box", image: "none", memoryMiB: 128, patches });
      await overMemory((backend) => body({ backend, at: (below) => join(directory.path, below), create }));
    },
    { skip: nativeAgentProblem },
  );
}

/** The error of a creation that one of its patches fails; nothing of the sandbox may be left. */
async function failure(created: Promise<Sandbox>): Promise<PatchFailedError> {
  const error: unknown = await created.then(
    () => undefined,
    (reason) => reason,
  );
  assert.ok(error instanceof PatchFailedError, String(error));
  await assert.rejects(Sandbox.get("box"), SandboxNotFoundError);
  return error;
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o7777;
}

patchTest("create() applies patches of every kind, in order", async ({ at, create }) => {
  mkdirSync(at("host/tree/sub"), { recursive: true });
  writeFileSync(at("host/conf"), "key=value");
  chmodSync(at("host/conf"), 0o640);
  utimesSync(at("host/conf"), 1, 1_000_000);
  writeFileSync(at("host/tree/sub/a"), "in a tree");
  symlinkSync("sub/a", at("host/tree/link"));
  mkdirSync(at("old/full/of"), { recursive: true });
  writeFileSync(at("old/full/of/files"), "");
  await create(
    Patch.text(at("guest/etc/motd"), "grüezi\n"),
    Patch.append(at("guest/etc/motd"), "and bye\n"),
    Patch.file(at("guest/bytes"), new Uint8Array([0, 255]), { mode: 0o4755 }),
    Patch.mkdir(at("guest/srv/deep"), { mode: 0o2750 }),
    Patch.mkdir(at("guest/srv")),
    Patch.copyFile(at("host/conf"), at("guest/new/app.conf")),
    Patch.copyFile(at("host/conf"), at("guest/secret.conf"), { mode: 0o600 }),
    Patch.copyDir(at("host/tree"), at("guest/tree")),
    Patch.symlink("etc/motd", at("guest/links/one")),
    Patch.remove(at("old/full")),
    Patch.remove(at("old/full/of")),
    Patch.text(at("old/full"), "a file now", { mode: 0o400 }),
  );
  assert.equal(readFileSync(at("guest/etc/motd"), "utf8"), "grüezi\nand bye\n");
  assert.equal(modeOf(at("guest/etc/motd")), 0o644);
  assert.equal(modeOf(at("guest/etc")), 0o755);
  assert.deepEqual([...readFileSync(at("guest/bytes"))], [0, 255]);
  assert.equal(modeOf(at("guest/bytes")), 0o4755);
  assert.equal(modeOf(at("guest/srv/deep")), 0o2750);
  assert.equal(modeOf(at("guest/srv")), 0o755);
  assert.equal(readFileSync(at("guest/new/app.conf"), "utf8"), "key=value");
  assert.equal(modeOf(at("guest/new/app.conf")), 0o640);
  assert.equal(statSync(at("guest/new/app.conf")).mtimeMs, 1_000_000_000);
  assert.equal(modeOf(at("guest/secret.conf")), 0o600);
  assert.equal(readFileSync(at("guest/tree/link"), "utf8"), "in a tree");
  assert.equal(readlinkSync(at("guest/tree/link")), "sub/a");
  assert.equal(readlinkSync(at("guest/links/one")), "etc/motd");
  assert.equal(readFileSync(at("old/full"), "utf8"), "a file now");
  assert.equal(modeOf(at("old/full")), 0o400);
});

patchTest("a patch writes content that needs many messages", async ({ at, create }) => {
  const big = new Uint8Array(3_000_001).map((_, index) => index % 251);
  await create(
    Patch.file(at("big"), big),
    Patch.text(at("text"), "é".repeat(200_000)),
    Patch.append(at("text"), "x".repeat(200_000)),
  );
  assert.ok(readFileSync(at("big")).equals(big));
  assert.equal(readFileSync(at("text"), "utf8"), "é".repeat(200_000) + "x".repeat(200_000));
});

patchTest("a patch replaces what is there if it may, and is an error otherwise", async ({ at, create }) => {
  mkdirSync(at("tree"));
  writeFileSync(at("tree/kept"), "kept");
  writeFileSync(at("host"), "new");
  mkdirSync(at("from"));
  writeFileSync(at("from/a"), "merged");
  symlinkSync("nowhere", at("dangling"));
  writeFileSync(at("there"), "old");
  const contentBytes = new Uint8Array(1);
  for (const patch of [
    Patch.text(at("there"), "new"),
    Patch.text(at("dangling"), "new"),
    Patch.file(at("there"), contentBytes),
    Patch.copyFile(at("host"), at("there")),
    Patch.copyFile(at("host"), at("dangling")),
    Patch.copyDir(at("from"), at("tree")),
    Patch.symlink("x", at("there")),
  ]) {
    const error = await failure(create(Patch.mkdir(at("made")), patch));
    const target = "path" in patch ? patch.path : "dst" in patch ? patch.dst : patch.link;
    assert.deepEqual([error.index, error.kind, error.target], [1, patch.kind, target]);
    assert.ok(error.cause instanceof FileExistsError, String(error.cause));
    assert.match(error.message, /^Cannot apply patches\[1\] \(\w+ ".*EEXIST.*\n {2}hint: .*replace: true/s);
  }
  assert.equal(readFileSync(at("there"), "utf8"), "old");
  assert.ok(!existsSync(at("nowhere")));
  const replace = true;
  chmodSync(at("there"), 0o600);
  await create(
    Patch.text(at("there"), "text", { replace }),
    Patch.copyDir(at("from"), at("tree"), { replace }),
    Patch.copyFile(at("host"), at("tree/kept"), { replace }),
    Patch.symlink("there", at("dangling"), { replace }),
  );
  assert.equal(readFileSync(at("there"), "utf8"), "text");
  assert.equal(modeOf(at("there")), 0o644); // always the same, whatever was there
  assert.deepEqual(readdirSync(at("tree")).sort(), ["a", "kept"]);
  assert.equal(readFileSync(at("tree/kept"), "utf8"), "new");
  assert.equal(readlinkSync(at("dangling")), "there");
});

patchTest("patches that cannot be applied fail by the guest's error", async ({ at, create }) => {
  writeFileSync(at("file"), "");
  mkdirSync(at("directory"));
  const absent = await failure(create(Patch.append(at("none"), "x")));
  assert.ok(absent.cause instanceof FileNotFoundError);
  assert.match(absent.hint ?? "", /text\(\)/);
  const reasons: readonly (readonly [Patch, RegExp])[] = [
    [Patch.text(at("file/below"), ""), /ENOTDIR/],
    [Patch.text(at("directory"), "", { replace: true }), /EISDIR/],
    [Patch.mkdir(at("file")), /EEXIST/],
    [Patch.append(at("directory"), ""), /EISDIR/],
    [Patch.symlink("x", at("directory"), { replace: true }), /EISDIR|EEXIST/],
    [Patch.copyDir(at("directory"), at("file"), { replace: true }), /is not a directory/],
  ];
  for (const [patch, reason] of reasons) assert.match((await failure(create(patch))).message, reason);
  await create(Patch.remove(at("none")), Patch.remove(at("file/below/it"))); // nothing is there to be removed
});

patchTest("patches follow links on the way, and remove links themselves", async ({ at, create }) => {
  mkdirSync(at("real"));
  symlinkSync("real", at("way"));
  symlinkSync("real/file", at("leaf"));
  writeFileSync(at("real/file"), "old");
  writeFileSync(at("kept"), "kept");
  symlinkSync("kept", at("gone"));
  await create(
    Patch.text(at("way/new"), "through a link"),
    Patch.text(at("leaf"), "where it leads", { replace: true }),
    Patch.remove(at("gone")),
  );
  assert.equal(readFileSync(at("real/new"), "utf8"), "through a link");
  assert.equal(readFileSync(at("real/file"), "utf8"), "where it leads");
  assert.ok(lstatSync(at("leaf")).isSymbolicLink());
  assert.deepEqual([existsSync(at("gone")), existsSync(at("kept"))], [false, true]);
});

patchTest("a source that has changed since create() was called fails its patch", async ({ at, create }) => {
  writeFileSync(at("source"), "");
  const swap = Patch.symlink("real", at("made")); // a patch that comes first sees to it
  const created = create(swap, Patch.remove(at("source")), Patch.copyFile(at("source"), at("copy")));
  const error = await failure(created);
  assert.deepEqual([error.index, error.kind], [2, "copyFile"]);
});

patchTest("PatchBuilder collects what the factories make", async ({ at }) => {
  const built = new PatchBuilder()
    .text("/a", "x", { mode: 0o600 })
    .file("/b", new Uint8Array(1))
    .copyFile("./c", "/c", { replace: true })
    .copyDir("./d", "/d")
    .symlink("target", "/e", { replace: true })
    .mkdir("/f", { mode: 0o700 })
    .remove("/g")
    .append("/h", "y")
    .build();
  assert.deepEqual(built, [
    Patch.text("/a", "x", { mode: 0o600 }),
    Patch.file("/b", new Uint8Array(1)),
    Patch.copyFile("./c", "/c", { replace: true }),
    Patch.copyDir("./d", "/d"),
    Patch.symlink("target", "/e", { replace: true }),
    Patch.mkdir("/f", { mode: 0o700 }),
    Patch.remove("/g"),
    Patch.append("/h", "y"),
  ]);
  assert.deepEqual(
    built.map(({ kind }) => kind),
    PatchKinds,
  );
  const { patches } = new SandboxBuilder("box")
    .patch((patch) => patch.text(at("one"), ""))
    .addPatch(Patch.remove("/x"))
    .patch((patch) => patch.mkdir(at("two")))
    .build();
  assert.deepEqual(patches, [Patch.text(at("one"), ""), Patch.remove("/x"), Patch.mkdir(at("two"))]);
});

patchTest("patches go where sandboxes are created, and are applied once", async ({ at, create }) => {
  const add = [Patch.append(at("log"), "x")];
  writeFileSync(at("log"), "");
  const options = { name: "box", image: "none", memoryMiB: 128, patches: add };
  const sandbox = await Sandbox.connectOrCreate(options);
  await Sandbox.connectOrCreate(options);
  assert.equal(readFileSync(at("log"), "utf8"), "x");
  await sandbox.stop();
  await Sandbox.start("box");
  await (await Sandbox.get("box")).restart();
  assert.equal(readFileSync(at("log"), "utf8"), "x");
  await (await Sandbox.get("box")).destroy();
  await using manager = new SandboxManager({ defaults: { patches: add, memoryMiB: 128 } });
  const { id } = await manager.createSandbox({ image: "none" });
  while ((await manager.inspectSandbox(id)).state === "starting")
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(readFileSync(at("log"), "utf8"), "xx");
  await create(Patch.append(at("log"), "y"), Patch.append(at("log"), "z"));
  assert.equal(readFileSync(at("log"), "utf8"), "xxyz");
});

patchTest("an abort ends the creation while a patch is applied", async ({ at, backend }) => {
  const abort = new AbortController();
  const patches = Array.from({ length: 1000 }, (_, index) => Patch.text(at(`file${index}`), ""));
  const created = Sandbox.create(
    { name: "box", image: "none", memoryMiB: 128, patches },
    { signal: abort.signal },
  );
  while (!existsSync(at("file0"))) await new Promise((resolve) => setTimeout(resolve, 1));
  abort.abort();
  await assert.rejects(created, { code: "aborted" });
  assert.equal(backend.sandboxes.size, 0);
  assert.ok(!existsSync(at("file999")));
});
