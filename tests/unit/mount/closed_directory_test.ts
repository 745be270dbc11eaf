/** A directory that no mount gives access to: the home of all sandboxes. @module */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FileSystemError } from "../../../src/mount/errno.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { openHostDirectory } from "../../../src/mount/providers/host_directory.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";

test("DirectoryProvider lets no path lead into a directory that is closed to guests, nor take it elsewhere", async () => {
  using directory = temporaryDirectory();
  const closed = join(directory.path, "data/closed");
  mkdirSync(join(closed, "locks"), { recursive: true });
  writeFileSync(join(closed, "locks/lock"), "");
  writeFileSync(join(directory.path, "data/closed-not"), "open");
  const files = await filesBy(true);
  const provider = DirectoryProvider.open(files, directory.path, { closed: realpathSync(closed) });
  const code = (call: () => unknown) => {
    try {
      call();
      return "done";
    } catch (error) {
      return (error as FileSystemError).code;
    }
  };
  const move = { exclusive: false, exchange: false };
  const read = { ...CLOSED, read: true };
  assert.deepEqual(
    [
      code(() => provider.attributes("/data/closed")),
      code(() => provider.list("/data/closed")),
      code(() => provider.open("/data/closed/locks/lock", read)),
      code(() => provider.makeDirectory("/data/closed/new", 0o755)),
      code(() => provider.removeFile("/data/closed/locks/lock")),
      code(() => provider.makeLink("/data/closed/locks/lock", "/link")),
    ],
    Array(6).fill("EACCES"),
  );
  for (const path of ["/data/closed", "/data"]) {
    assert.equal(
      code(() => provider.rename(path, "/moved", move)),
      "EBUSY",
    );
    assert.equal(
      code(() => provider.rename("/other", path, { ...move, exchange: true })),
      "EBUSY",
    );
  }
  assert.deepEqual(
    provider
      .list("/data")
      .map(({ name }) => name)
      .sort(),
    ["closed", "closed-not"],
  );
  provider.rename("/data/closed-not", "/moved", move);
  provider.close();
  const inside = DirectoryProvider.open(files, closed, { closed: realpathSync(closed) });
  assert.equal(
    code(() => inside.list("/")),
    "EACCES",
  );
  inside.close();
});

const CLOSED = {
  read: false,
  write: false,
  append: false,
  truncate: false,
  create: false,
  exclusive: false,
  mode: 0,
};

test("openHostDirectory() does not lead into the home of all sandboxes", async () => {
  using directory = temporaryDirectory();
  const before = process.env["MSB_HOME"];
  process.env["MSB_HOME"] = join(directory.path, "home");
  try {
    mkdirSync(join(directory.path, "home"));
    const files = await openHostDirectory(directory.path);
    assert.deepEqual(
      (await files.list("/")).map(({ name }) => name),
      ["home"],
    );
    await assert.rejects(async () => await files.list("/home"), { code: "EACCES" });
    await files.close?.();
  } finally {
    if (before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = before;
  }
});
