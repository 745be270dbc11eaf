/** A directory of this machine that is shared: what is served, and that nothing beside it is. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Open } from "../../../src/ffi/files.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { OpenFiles } from "../../../src/mount/providers/open_files.ts";
import { descriptorLimit } from "../../../src/platform/descriptor_limit.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import {
  attempts,
  filesBy,
  readText,
  SECRET,
  SharedDirectory,
  WAYS,
  writeText,
} from "../../support/mount/shared_directory.ts";

/** The error numbers' names that an escape may end with. */
const REFUSALS = new Set(["ELOOP", "ENOTDIR", "ENOENT", "EXDEV", "EINVAL", "EOPNOTSUPP", "EPERM"]);
/** What is done to the link itself, as rm(1) or mv(1) in the guest does it. */
const OF_THE_LINK = new Set([
  "attributes",
  "readLink",
  "chown",
  "times",
  "linkOut",
  "exchange",
  "renameOut",
  "removeFile",
  "listExtended",
]);

/** Descriptors of this process that lead to `directory` or below it. Others come and go while it looks. */
function openBelow(directory: string): number {
  const leadsThere = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false;
    }
  };
  return readdirSync("/proc/self/fd").filter(leadsThere).length;
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}

for (const [way, hasOpenat2] of WAYS) {
  test(`DirectoryProvider (${way}) never follows a link, wherever it stands in a path`, async () => {
    using names = await SharedDirectory.open(hasOpenat2);
    const paths = names.link();
    const actions = Object.keys(attempts(names.provider, "/", "/"));
    for (const path of paths)
      for (const action of actions) {
        using shared = await SharedDirectory.open(hasOpenat2);
        shared.link();
        const before = shared.outsideState();
        const isLink = !path.slice(1).includes("/") || path === "/real/deep";
        try {
          const result = attempts(shared.provider, path, "/fresh")[action]?.();
          assert.ok(isLink && OF_THE_LINK.has(action), `${action} of ${path} succeeded`);
          assert.ok(!JSON.stringify(result, (_, value) => String(value))?.includes(SECRET));
        } catch (error) {
          assert.ok(REFUSALS.has(codeOf(error)), `${action} of ${path}: ${codeOf(error)}`);
        }
        assert.equal(shared.outsideState(), before, `${action} of ${path}`);
      }
  });

  test(`DirectoryProvider (${way}) serves what is in the root`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const { provider, inside } = shared;
    assert.equal(readText(provider, "/real/secret"), "of the guest");
    writeText(provider, "/real/new", "content", 0o640);
    assert.equal(readFileSync(join(inside, "real/new"), "utf8"), "content");
    assert.equal(statSync(join(inside, "real/new")).mode & 0o7777, 0o640);
    provider.makeDirectory("/real/d", 0o750);
    provider.rename("/real/new", "/real/d/moved", { exclusive: false, exchange: false });
    provider.makeSymlink("/loop", "loop");
    assert.equal(provider.readLink("/loop"), "loop");
    assert.throws(() => readText(provider, "/loop"), { code: "ELOOP" });
    assert.deepEqual(
      provider
        .list("/real")
        .map(({ name, type }) => `${name} ${type}`)
        .toSorted(),
      ["d directory", "secret file"],
    );
    assert.deepEqual(
      provider.list("/real/d").map(({ name }) => name),
      ["moved"],
    );
    assert.throws(() => provider.list("/real/secret"), { code: "ENOTDIR" });
    assert.throws(() => readText(provider, "/real"), { code: "EISDIR" });
    assert.throws(() => provider.removeDirectory("/"), { code: "EBUSY" });
    assert.throws(() => provider.rename("/", "/x", { exclusive: false, exchange: false }), { code: "EBUSY" });
  });

  test(`Files.openBeneath() (${way}) refuses \`..\` and absolute paths`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const files = await filesBy(hasOpenat2);
    const root = files.open(shared.inside, Open.pathOnly);
    const outside = `${shared.outside}/secret`;
    for (const path of ["..", "../outside/secret", "real/../../outside", outside]) {
      const fd = files.openBeneath(root, new TextEncoder().encode(path), Open.pathOnly);
      assert.ok(fd < 0, path);
    }
    files.close(root);
  });

  test(`DirectoryProvider (${way}) opens no FIFO, socket or device for its content`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const { provider, inside } = shared;
    execFileSync("mkfifo", [join(inside, "fifo")]);
    const server = createServer().listen(join(inside, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      for (const path of ["/fifo", "/socket"]) {
        assert.throws(() => readText(provider, path), { code: "EACCES" });
        assert.throws(() => writeText(provider, path, "x"), { code: "EACCES" });
        assert.throws(() => provider.setAttributes(path, { size: 0 }), { code: "EACCES" });
        provider.setAttributes(path, { mode: 0o600, modifiedNs: 5_000_000_000n });
        assert.equal(provider.attributes(path).mode, 0o600);
      }
      for (const type of ["characterDevice", "blockDevice"] as const)
        assert.throws(() => provider.makeNode("/null", type, 0o666), { code: "EPERM" });
    } finally {
      server.close();
    }
  });

  test(`DirectoryProvider (${way}) neither shows nor sets set-id bits, and drops them with a change`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const { provider, inside } = shared;
    const modeOf = (name: string) => statSync(join(inside, name)).mode & 0o7777;
    for (const name of ["a", "b", "c"]) {
      writeFileSync(join(inside, name), "#!/bin/sh\n");
      chmodSync(join(inside, name), 0o6755);
      assert.equal(provider.attributes(`/${name}`).mode, 0o755);
    }
    provider.setAttributes("/a", { mode: 0o6711 });
    assert.equal(modeOf("a"), 0o711);
    assert.equal(readText(provider, "/b"), "#!/bin/sh\n");
    assert.equal(modeOf("b"), 0o6755, "what is only read stays");
    writeText(provider, "/b", "of the guest");
    assert.equal(modeOf("b"), 0o755, "a program of the guest's would run as its owner");
    provider.setAttributes("/c", { size: 1 });
    assert.equal(modeOf("c"), 0o755);
    writeText(provider, "/new", "x", 0o6755);
    provider.makeDirectory("/made", 0o3777);
    provider.makeNode("/node", "file", 0o6777);
    assert.deepEqual([modeOf("new"), modeOf("made"), modeOf("node") & 0o6000], [0o755, 0o1777, 0]);
    chmodSync(join(inside, "real"), 0o2755);
    provider.makeDirectory("/real/made", 0o755);
    assert.equal(modeOf("real/made"), 0o755, "not by its directory's either");
  });

  test(`DirectoryProvider (${way}) keeps names that are not UTF-8, and long ones`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const { provider, inside } = shared;
    execFileSync("sh", ["-c", 'cd "$1" && printf x > "$(printf "b\\377d\\303(")"', "sh", inside]);
    const [odd] = provider.list("/").filter(({ name }) => name !== "real");
    assert.equal(odd?.name, "b\udcffd\udcc3(");
    assert.equal(readText(provider, `/${odd?.name}`), "x");
    provider.rename(`/${odd?.name}`, "/\udc80", { exclusive: true, exchange: false });
    assert.equal(provider.attributes("/\udc80").size, 1);
    provider.makeSymlink("/link", "to \udcfe");
    assert.equal(provider.readLink("/link"), "to \udcfe");
    const long = `${"é".repeat(127)}x`;
    writeText(provider, `/${long}`, "long");
    assert.equal(readFileSync(join(inside, long), "utf8"), "long");
    assert.throws(() => provider.attributes(`/${long}x`), { code: "ENAMETOOLONG" });
  });

  test(`DirectoryProvider (${way}) has extended attributes of users only`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const { provider } = shared;
    provider.setExtended("/real", "user.a", Uint8Array.of(1, 0, 255), "new");
    assert.deepEqual([...provider.getExtended("/real", "user.a")], [1, 0, 255]);
    assert.throws(() => provider.setExtended("/real", "user.a", new Uint8Array(), "new"), { code: "EEXIST" });
    assert.throws(() => provider.setExtended("/real", "user.b", new Uint8Array(), "old"), {
      code: "ENODATA",
    });
    provider.setExtended("/real", "user.empty", new Uint8Array(), "any");
    assert.deepEqual([...provider.getExtended("/real", "user.empty")], []);
    assert.deepEqual([...provider.listExtended("/real")].toSorted(), ["user.a", "user.empty"]);
    provider.removeExtended("/real", "user.a");
    assert.throws(() => provider.getExtended("/real", "user.a"), { code: "ENODATA" });
    for (const name of ["security.capability", "trusted.a", "system.posix_acl_access", "", "user"]) {
      assert.throws(() => provider.setExtended("/real", name, new Uint8Array(4), "any"), {
        code: "EOPNOTSUPP",
      });
      assert.throws(() => provider.getExtended("/real", name), { code: "EOPNOTSUPP" });
      assert.throws(() => provider.removeExtended("/real", name), { code: "EOPNOTSUPP" });
    }
  });

  test(`DirectoryProvider (${way}) with a file as its root serves that file alone`, async () => {
    using shared = await SharedDirectory.open(hasOpenat2);
    const files = await filesBy(hasOpenat2);
    const only = DirectoryProvider.open(files, join(shared.inside, "real/secret"));
    try {
      assert.equal(only.isFile, true);
      assert.equal(only.attributes("/").size, 12);
      assert.equal(readText(only, "/"), "of the guest");
      writeText(only, "/", "changed");
      assert.equal(readFileSync(join(shared.inside, "real/secret"), "utf8"), "changed");
      for (const path of ["/secret", "/real", "/../outside"])
        assert.throws(() => only.attributes(path), { code: "ENOTDIR" });
      assert.throws(() => only.list("/"), { code: "ENOTDIR" });
      assert.throws(() => only.removeFile("/"), { code: "EPERM" });
      assert.throws(() => only.makeDirectory("/x", 0o755), { code: "EPERM" });
    } finally {
      only.close();
    }
  });
}

test("DirectoryProvider.open() takes what a path leads to, relative or through links", async () => {
  using directory = temporaryDirectory();
  const files = await filesBy(true);
  mkdirSync(join(directory.path, "d"));
  writeFileSync(join(directory.path, "d/file"), "content");
  symlinkSync("d/file", join(directory.path, "toFile"));
  symlinkSync("d", join(directory.path, "toDirectory"));
  execFileSync("mkfifo", [join(directory.path, "fifo")]);
  const before = process.cwd();
  process.chdir(directory.path);
  try {
    for (const path of ["d/file", "./toFile", "toFile", "toDirectory/file", join(directory.path, "toFile")]) {
      const provider = DirectoryProvider.open(files, path);
      assert.equal(readText(provider, "/"), "content", path);
      provider.close();
    }
    const provider = DirectoryProvider.open(files, "toDirectory/");
    assert.equal(readText(provider, "/file"), "content");
    provider.close();
    assert.throws(() => DirectoryProvider.open(files, "none"), { code: "ENOENT" });
    assert.throws(() => DirectoryProvider.open(files, "fifo"), { code: "EINVAL" });
  } finally {
    process.chdir(before);
  }
});

test("DirectoryProvider knows hard links as one file, and follows no link that it makes a name of", async () => {
  using shared = await SharedDirectory.open();
  const { provider, inside } = shared;
  provider.makeLink("/real/secret", "/second");
  assert.equal(provider.attributes("/second").inode, provider.attributes("/real/secret").inode);
  assert.equal(provider.attributes("/second").links, 2);
  symlinkSync(join(shared.outside, "secret"), join(inside, "link"));
  provider.makeLink("/link", "/third");
  assert.equal(provider.attributes("/third").type, "symlink");
  assert.equal(statSync(join(shared.outside, "secret")).nlink, 1);
});

test("DirectoryProvider leaves no descriptor open, whatever fails", async () => {
  using shared = await SharedDirectory.open();
  const paths = [...shared.link(), "/none", "/none/x", "/real", "/real/secret", `/${"x".repeat(300)}`];
  const count = () => openBelow(shared.inside);
  const before = count();
  for (const path of paths)
    for (const attempt of Object.values(attempts(shared.provider, path, "/fresh"))) {
      try {
        attempt();
      } catch (error) {
        assert.match(codeOf(error), /^E[A-Z]+$/);
      }
    }
  assert.equal(before, 1, "the root");
  assert.equal(count(), before);
});

test("DirectoryProvider does not list a directory of more entries than it may hold", async () => {
  using directory = temporaryDirectory();
  for (const name of ["a", "b", "c"]) writeFileSync(join(directory.path, name), "");
  const provider = DirectoryProvider.open(await filesBy(true), directory.path, { entriesMax: 3 });
  try {
    assert.equal(provider.list("/").length, 3);
    writeFileSync(join(directory.path, "d"), "");
    const open = openBelow(directory.path);
    assert.throws(() => provider.list("/"), { code: "ENOMEM" });
    assert.equal(openBelow(directory.path), open);
  } finally {
    provider.close();
  }
});

for (const [way, hasOpenat2] of WAYS)
  test(`DirectoryProvider.openReal() (${way}) does not go where a guest has put a link since`, async () => {
    using directory = temporaryDirectory();
    const files = await filesBy(hasOpenat2);
    const at = (name: string) => join(directory.path, name);
    mkdirSync(at("outside/data"), { recursive: true });
    writeFileSync(at("outside/file"), SECRET);
    mkdirSync(at("shared"));
    symlinkSync(at("outside"), at("shared/link"));
    symlinkSync(at("outside/file"), at("shared/file"));
    const open = openBelow(directory.path);
    for (const path of ["shared/link", "shared/link/data", "shared/link/file", "shared/file"])
      assert.throws(
        () => DirectoryProvider.openReal(files, at(path)),
        ({ code }: { code: string }) => code === "ELOOP" || code === "ENOTDIR",
        path,
      );
    assert.equal(openBelow(directory.path), open);
    for (const path of ["outside/data", "outside/file"]) {
      const provider = DirectoryProvider.openReal(files, at(path));
      assert.equal(provider.isFile, path === "outside/file");
      provider.close();
    }
    assert.equal(openBelow(directory.path), open);
  });

test("DirectoryProvider opens as many files as its bound for all mounts lets it, whatever fails in between", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "file");
  writeFileSync(path, "content");
  const files = await filesBy(true);
  const openFiles = new OpenFiles(3);
  const mounts = [directory.path, path].map((root) => DirectoryProvider.open(files, root, { openFiles }));
  const [whole, only] = mounts;
  assert.ok(whole !== undefined && only !== undefined);
  const options = {
    read: true,
    write: true,
    append: false,
    truncate: false,
    create: false,
    exclusive: false,
    mode: 0,
  };
  for (let round = 0; round < 5; round++) {
    assert.throws(() => whole.open("/none", options), { code: "ENOENT" });
    assert.throws(() => whole.open("/file", { ...options, create: true, exclusive: true }), {
      code: "EEXIST",
    });
    whole.setAttributes("/file", { size: 3 });
    const open = [whole.open("/file", options), only.open("/", options), whole.open("/file", options)];
    assert.throws(() => whole.open("/file", options), { code: "ENFILE" });
    assert.throws(() => only.open("/", options), { code: "ENFILE" });
    for (const file of open) file.close();
  }
  for (const mount of mounts) mount.close();
});

test("descriptorLimit() is the soft limit of this process", () => {
  const limit = execFileSync("sh", ["-c", "ulimit -Sn"], { encoding: "utf8" }).trim();
  assert.equal(descriptorLimit(), limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit));
});

test("Files fails to write past the limit of file sizes, and the process goes on", () => {
  using directory = temporaryDirectory();
  const url = (path: string) => new URL(`../../../src/${path}`, import.meta.url).href;
  const program = join(directory.path, "write.ts");
  writeFileSync(
    program,
    `import { Files } from "${url("ffi/files.ts")}";
     import { DirectoryProvider } from "${url("mount/providers/directory_provider.ts")}";
     const provider = DirectoryProvider.open(await Files.load(), ${JSON.stringify(directory.path)});
     const options = { read: true, write: true, append: false, truncate: false, create: true, exclusive: true, mode: 0o600 };
     const file = provider.open("/large", options);
     try {
       file.write(1 << 20, new Uint8Array(10));
     } catch (error) {
       console.log(error.code);
     }`,
  );
  const { file, args } = runtimeCommand(pathToFileURL(program));
  const command = [file, ...args].map((word) => `'${word}'`).join(" ");
  assert.equal(execFileSync("sh", ["-c", `ulimit -f 100; exec ${command}`], { encoding: "utf8" }), "EFBIG\n");
});
