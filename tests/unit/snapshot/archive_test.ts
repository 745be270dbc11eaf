import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { MiB } from "../../../src/base/bytes.ts";
import { AbortedError, IoError } from "../../../src/base/errors.ts";
import { readArchive } from "../../../src/snapshot/archive_read.ts";
import { writeArchive } from "../../../src/snapshot/archive_write.ts";
import { UPPER_NAME } from "../../../src/snapshot/descriptor.ts";
import { digestDisk } from "../../../src/snapshot/disk_content.ts";
import { SnapshotIntegrityError } from "../../../src/snapshot/errors.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";
import { ext4ToolsProblem, makeDisk, readDiskFile, storeSnapshot } from "./disks.ts";

const ext4 = { skip: ext4ToolsProblem };
const FILE = "file";

async function homeWithSnapshot() {
  const directory = temporaryDirectory();
  const disk = join(directory.path, "disk");
  const bytes = seededRandom("archive").bytes(3 * MiB + 11);
  await makeDisk(disk, 256, ext4ToolsProblem === undefined ? { [FILE]: bytes } : {});
  const snapshot = await storeSnapshot(join(directory.path, "home"), disk);
  let count = 0;
  const unpackInto = (): string => {
    const path = join(directory.path, `unpacked${count++}`);
    mkdirSync(path);
    return path;
  };
  return {
    path: directory.path,
    snapshot,
    bytes,
    unpackInto,
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

for (const compress of [true, false]) {
  test(`readArchive() gives back what writeArchive() wrote, ${compress ? "compressed" : "plain"}`, async () => {
    using made = await homeWithSnapshot();
    const path = join(made.path, "archive");
    await writeArchive(made.snapshot, { path, compress });
    const size = statSync(path).size;
    assert.ok(size < 8 * MiB, `${size} bytes for a disk of 256 MiB`);
    const directory = made.unpackInto();
    const descriptor = await readArchive({ path, directory });
    assert.deepEqual(descriptor, made.snapshot.descriptor);
    const upper = join(directory, UPPER_NAME);
    assert.equal(await digestDisk(upper), descriptor.upper.integrity.digest);
    assert.equal(statSync(upper).size, 256 * MiB);
    assert.ok(statSync(upper).blocks * 512 < 16 * MiB);
    if (ext4ToolsProblem === undefined) assert.deepEqual(readDiskFile(upper, FILE), Buffer.from(made.bytes));
    await writeArchive(made.snapshot, { path: `${path}2`, compress });
    assert.ok(readFileSync(path).equals(readFileSync(`${path}2`)), "equal snapshots give equal archives");
  });
}

test(
  "writeArchive() writes a tar that GNU tar unpacks as it was",
  async () => {
    using made = await homeWithSnapshot();
    const path = join(made.path, "archive.tar");
    await writeArchive(made.snapshot, { path, compress: false });
    const directory = made.unpackInto();
    execFileSync("tar", ["-xf", path, "-C", directory]);
    assert.deepEqual(readdirSync(directory).sort(), ["snapshot.json", UPPER_NAME]);
    const upper = join(directory, UPPER_NAME);
    assert.equal(statSync(upper).size, 256 * MiB);
    assert.equal(await digestDisk(upper), made.snapshot.descriptor.upper.integrity.digest);
    execFileSync("e2fsck", ["-fn", upper], { stdio: "pipe" });
  },
  ext4,
);

test("writeArchive() refuses a disk that has changed, and leaves nothing", async () => {
  using made = await homeWithSnapshot();
  await using disk = await open(made.snapshot.upperPath, "r+");
  await disk.write(Buffer.from([1]), 0, 1, 1024 + 0x200);
  const path = join(made.path, "archive");
  const before = readdirSync(made.path);
  await assert.rejects(writeArchive(made.snapshot, { path }), SnapshotIntegrityError);
  assert.deepEqual(readdirSync(made.path), before);
  await assert.rejects(writeArchive(made.snapshot, { path: join(made.path, "none", "x") }));
});

test("writeArchive() and readArchive() can be aborted; the archive that was there stays", async () => {
  using made = await homeWithSnapshot();
  const path = join(made.path, "archive");
  await writeArchive(made.snapshot, { path });
  const bytes = readFileSync(path);
  const controller = new AbortController();
  let reports = 0;
  const onProgress = () => {
    if (++reports === 3) controller.abort("enough");
  };
  await assert.rejects(
    writeArchive(made.snapshot, { path, signal: controller.signal, onProgress }),
    AbortedError,
  );
  assert.ok(readFileSync(path).equals(bytes));
  assert.deepEqual(
    readdirSync(made.path).filter((name) => name.includes(".tmp")),
    [],
  );
  const aborted = AbortSignal.abort("before");
  await assert.rejects(readArchive({ path, directory: made.unpackInto(), signal: aborted }), AbortedError);
  await assert.rejects(readArchive({ path: `${path}.none`, directory: made.unpackInto() }), IoError);
});

test("writeArchive() can be aborted at any moment without an unhandled error", async () => {
  using made = await homeWithSnapshot();
  const disk = join(made.path, "noise");
  writeFileSync(disk, seededRandom("aborted archives").bytes(8 * MiB)); // so much that the archive has to be waited for
  const snapshot = await storeSnapshot(join(made.path, "home"), disk, "noise");
  const path = join(made.path, "archive");
  let reports = 0;
  await writeArchive(snapshot, { path, onProgress: () => void reports++ });
  for (const compress of [true, false]) {
    for (let last = 1; last <= reports; last++) {
      const controller = new AbortController();
      let count = 0;
      const onProgress = () => {
        if (++count === last) setTimeout(() => controller.abort("enough"), 0);
      };
      // One that is done before it hears of that is as good.
      await writeArchive(snapshot, { path, compress, signal: controller.signal, onProgress }).catch((error) =>
        assert.ok(error instanceof AbortedError, String(error)),
      );
      await new Promise((resolve) => setTimeout(resolve, 1)); // what is thrown behind it ends the test's process
    }
  }
  const left = readdirSync(made.path).filter((name) => name.includes(".tmp"));
  assert.deepEqual(left, []);
});

test("readArchive() refuses an archive that is cut short or has one byte changed, anywhere", async () => {
  using made = await homeWithSnapshot();
  const path = join(made.path, "archive");
  const random = seededRandom("damaged archives");
  for (const compress of [true, false]) {
    await writeArchive(made.snapshot, { path, compress });
    const bytes = readFileSync(path);
    const tar = compress ? zstdDecompressSync(bytes) : bytes;
    // What follows the last entry means nothing; with compression it is checked all the same.
    const endBytes = compress ? bytes.length : tar.length - 1024 - 512;
    for (let round = 0; round < 12; round++) {
      const damaged = Buffer.from(bytes);
      const at = random.integer(0, endBytes - 1);
      const isCut = round % 2 === 0;
      damaged[at] = (damaged[at] ?? 0) ^ (1 << random.integer(0, 7));
      writeFileSync(`${path}.bad`, isCut ? bytes.subarray(0, at) : damaged);
      const directory = made.unpackInto();
      const result = await readArchive({ path: `${path}.bad`, directory }).then(
        (descriptor) => descriptor,
        (error: unknown) => error,
      );
      // A byte of a tar's header may mean nothing, such as the time: then all else is as it was.
      if (!isCut && !(result instanceof Error)) assert.deepEqual(result, made.snapshot.descriptor);
      else
        assert(result instanceof SnapshotIntegrityError, `${isCut ? "cut" : "changed"} at ${at}: ${result}`);
    }
  }
});

test("readArchive() refuses files that are not archives of snapshots", async () => {
  using made = await homeWithSnapshot();
  const source = made.unpackInto();
  writeFileSync(join(source, "snapshot.json"), "{}");
  writeFileSync(join(source, "other"), "x");
  const tar = (name: string, files: readonly string[]) => {
    const path = join(made.path, name);
    execFileSync("tar", ["-cf", path, "-C", source, ...files]);
    return path;
  };
  const plain = join(made.path, "plain");
  writeFileSync(plain, "not a tar at all");
  writeFileSync(`${plain}.empty`, "");
  for (const path of [plain, `${plain}.empty`, tar("a", ["other"]), tar("b", ["snapshot.json", "other"])]) {
    const directory = made.unpackInto();
    await assert.rejects(readArchive({ path, directory }), SnapshotIntegrityError, path);
    assert.equal(existsSync(join(directory, UPPER_NAME)), false);
  }
});
