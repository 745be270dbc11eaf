import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../src/base/bytes.ts";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { stagingName } from "../../../src/platform/staging.ts";
import { decodeDescriptor, encodeDescriptor, UPPER_NAME } from "../../../src/snapshot/descriptor.ts";
import {
  SnapshotAlreadyExistsError,
  SnapshotIntegrityError,
  SnapshotNotFoundError,
} from "../../../src/snapshot/errors.ts";
import { SnapshotStore } from "../../../src/snapshot/store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { describeDisk, makeDisk, storeSnapshot } from "./disks.ts";

const DISK_MIB = 64;
/** So many that the place is changed between any two reads of it. */
const REPLACEMENTS = 400;

async function homeWithDisk() {
  const directory = temporaryDirectory();
  const disk = join(directory.path, "disk");
  await makeDisk(disk, DISK_MIB);
  const home = join(directory.path, "home");
  mkdirSync(home);
  return { home, disk, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

/** Moves a snapshot aside as a process does that puts another in its place; that process is dead by now. */
function leaveAside(store: SnapshotStore, name: string): void {
  const directory = store.directoryOf(name);
  const dead = stagingName().replace(String(ownProcess().pid), "999999999");
  renameSync(directory, `${directory}@${dead}`);
}

test("encodeDescriptor() gives equal bytes for equal descriptors, whatever the order of their keys", async () => {
  using made = await homeWithDisk();
  const one = await describeDisk(made.disk, DISK_MIB * MiB, { labels: { b: "2", a: "1" } });
  const other = Object.fromEntries(Object.entries({ ...one, labels: { a: "1", b: "2" } }).reverse());
  const { bytes, digest } = encodeDescriptor(one);
  const again = encodeDescriptor({ ...one, ...other });
  assert.deepEqual(again.bytes, bytes);
  assert.equal(again.digest, digest);
  assert.deepEqual(decodeDescriptor("x", bytes), { descriptor: one, digest });
});

test("decodeDescriptor() refuses bytes that are not canonical, have other fields, or are not a descriptor", async () => {
  using made = await homeWithDisk();
  const { bytes } = encodeDescriptor(await describeDisk(made.disk, DISK_MIB * MiB));
  const text = Buffer.from(bytes).toString();
  for (const damaged of [
    "",
    "{}",
    "null",
    text.slice(0, -10),
    ` ${text}`,
    text.replace('"version":1', '"version":2'),
    text.replace('"labels":{}', '"labels":{},"more":1'),
    text.replace("upper.ext4", "../../etc/passwd"),
    text.replace(`"sizeBytes":${DISK_MIB * MiB}`, '"sizeBytes":-1'),
  ]) {
    assert.throws(() => decodeDescriptor("x", Buffer.from(damaged)), SnapshotIntegrityError, damaged);
  }
});

test("SnapshotStore publishes, finds, lists by name, and removes", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  assert.deepEqual(store.list(), []);
  const second = await storeSnapshot(made.home, made.disk, "two");
  mkdirSync(join(made.home, "snapshots", "lost + found")); // of a file system's or a person's making
  const first = await storeSnapshot(made.home, made.disk, "one");
  assert.deepEqual(store.get("one"), first);
  assert.deepEqual(store.list(), [first, second]);
  assert.deepEqual(store.imageDigests(), new Set([first.descriptor.image.digest]));
  store.remove("one");
  assert.throws(() => store.get("one"), SnapshotNotFoundError);
  assert.throws(() => store.remove("one"), SnapshotNotFoundError);
  assert.deepEqual(store.list(), [second]);
  assert.deepEqual(readdirSync(join(made.home, "trash")), []);
});

test("SnapshotStore.publish() gives the name to exactly one of many", async () => {
  using made = await homeWithDisk();
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => storeSnapshot(made.home, made.disk, "same")),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  for (const result of results)
    if (result.status === "rejected") assert(result.reason instanceof SnapshotAlreadyExistsError);
  assert.equal(new SnapshotStore(made.home).get("same").descriptor.name, "same");
});

test("SnapshotStore.publish() with replace replaces the snapshot of that name", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  await storeSnapshot(made.home, made.disk, "same");
  const publish = async (id: string) => {
    const staged = store.stage();
    copyFileSync(made.disk, join(staged, UPPER_NAME));
    const descriptor = await describeDisk(made.disk, DISK_MIB * MiB, { name: "same", id });
    return store.publish(staged, descriptor, { replace: true });
  };
  const second = await publish("00000000-0000-4000-8000-000000000002");
  assert.deepEqual(store.list(), [second]);
  rmSync(join(second.directory, "snapshot.json"));
  const third = await publish("00000000-0000-4000-8000-000000000003"); // also of one that is damaged
  assert.deepEqual(store.list(), [third]);
  store.remove("same");
  assert.deepEqual(await publish("00000000-0000-4000-8000-000000000004"), store.get("same"));
  assert.deepEqual(readdirSync(join(made.home, "trash")), []);
});

test("SnapshotStore.publish() with replace keeps the old snapshot if the new one cannot be moved in", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const first = await storeSnapshot(made.home, made.disk, "same");
  const staged = store.stage();
  const descriptor = await describeDisk(made.disk, DISK_MIB * MiB, { name: "same" });
  assert.throws(() => store.publish(staged, descriptor, { replace: true }), { code: "io" }); // it has no disk
  assert.deepEqual(store.list(), [first]);
});

test("SnapshotStore.remove() of one snapshot leaves another that has its name", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const first = await storeSnapshot(made.home, made.disk, "same");
  store.remove("same");
  const second = await storeSnapshot(made.home, made.disk, "same");
  assert.throws(() => store.remove("same", first.digest), SnapshotNotFoundError);
  assert.deepEqual(store.list(), [second]);
  store.remove("same", second.digest);
  assert.deepEqual(readdirSync(join(made.home, "snapshots")), []);
  assert.deepEqual(readdirSync(join(made.home, "trash")), []);
});

test("SnapshotStore restores what was moved aside by a process that was killed before it put the new snapshot there", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const first = await storeSnapshot(made.home, made.disk, "same");
  for (const look of [
    () => store.get("same"),
    () => store.list()[0],
    () => store.stage() && store.get("same"),
  ]) {
    leaveAside(store, "same");
    assert.equal(store.has("same"), false);
    assert.deepEqual(look(), first);
  }
});

test("SnapshotStore removes what was moved aside by a process that was killed after it put the new snapshot there", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  await storeSnapshot(made.home, made.disk, "same");
  const other = await storeSnapshot(made.home, made.disk, "other");
  leaveAside(store, "same");
  renameSync(other.directory, store.directoryOf("same"));
  store.remove("same");
  assert.deepEqual(readdirSync(join(made.home, "snapshots")), [], "what was replaced does not come back");
  assert.throws(() => store.remove("same"), SnapshotNotFoundError);
});

test("SnapshotStore does not touch what a living process has moved aside", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const { directory } = await storeSnapshot(made.home, made.disk, "same");
  renameSync(directory, `${directory}@${stagingName()}`);
  assert.deepEqual(store.list(), []);
  assert.throws(() => store.get("same"), SnapshotNotFoundError);
});

test("SnapshotStore.get() detects a damaged snapshot", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const { directory, upperPath } = await storeSnapshot(made.home, made.disk);
  const descriptor = join(directory, "snapshot.json");
  const text = readFileSync(descriptor);
  const damages: readonly (() => void)[] = [
    () => writeFileSync(descriptor, "{"),
    () => writeFileSync(descriptor, Buffer.from(text.toString().replace("subject", "another"))),
    () => truncateSync(descriptor, 2 * MiB),
    () => rmSync(descriptor),
  ];
  for (const damage of damages) {
    damage();
    assert.throws(() => store.get("subject"), SnapshotIntegrityError);
    assert.deepEqual(store.list(), []);
    writeFileSync(descriptor, text);
  }
  truncateSync(upperPath, 1000);
  assert.throws(() => store.get("subject"), SnapshotIntegrityError);
  store.remove("subject"); // also when it is damaged
  assert.deepEqual(store.list(), []);
});

test("SnapshotStore refuses names that would lead outside its directory", () => {
  using directory = temporaryDirectory();
  const store = new SnapshotStore(directory.path);
  for (const name of ["", ".", "..", "../x", "a/b", "-a", "a\0", "x".repeat(129)]) {
    assert.throws(() => store.get(name), InvalidConfigError, name);
    assert.throws(() => store.remove(name), InvalidConfigError, name);
  }
  assert.equal(UPPER_NAME, "upper.ext4");
});

test("SnapshotStore.get() reads a complete snapshot, or none, while others replace it", async () => {
  using made = await homeWithDisk();
  const store = new SnapshotStore(made.home);
  const directory = store.directoryOf("subject");
  const known = new Set<string>();
  const described = await describeDisk(made.disk, DISK_MIB * MiB);
  for (let number = 1; number <= REPLACEMENTS; number++) {
    const sizeBytes = (1 + (number % 2)) * MiB; // another than the next one's
    const descriptor = { ...described, id: randomUUID(), upper: { ...described.upper, sizeBytes } };
    const staged = store.stage();
    writeFileSync(join(staged, UPPER_NAME), "");
    truncateSync(join(staged, UPPER_NAME), sizeBytes);
    known.add(store.publish(staged, descriptor).digest);
    renameSync(directory, join(made.home, String(number)));
  }
  const replacements = `for i in $(seq ${REPLACEMENTS}); do mv $i snapshots/subject; mv snapshots/subject $i; done`;
  const replacing = spawn("sh", ["-ec", replacements], { cwd: made.home });
  let code: number | null | undefined;
  replacing.once("close", (value) => {
    code = value;
  });
  let found = 0;
  let missing = 0;
  while (code === undefined) {
    for (let round = 0; round < 100; round++) {
      try {
        assert.ok(known.has(store.get("subject").digest));
        found++;
      } catch (error) {
        assert(error instanceof SnapshotNotFoundError, String(error));
        missing++;
      }
    }
    await new Promise(setImmediate);
  }
  assert.equal(code, 0);
  assert.ok(found > 0 && missing > 0, `${found} were found, and ${missing} times there was none`);
});
