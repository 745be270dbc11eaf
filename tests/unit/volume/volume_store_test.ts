/** Volumes on disk: whole or not there, whatever is killed. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../../../src/platform/find_program.ts";
import { ownProcess, type ProcessIdentity } from "../../../src/platform/process_identity.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import type { StateStore } from "../../../src/state/state_store.ts";
import {
  VolumeAlreadyExistsError,
  VolumeInUseError,
  VolumeNotFoundError,
} from "../../../src/volume/errors.ts";
import {
  isVolumeLocked,
  tryLockVolume,
  volumeDirectory,
  volumeIdOf,
} from "../../../src/volume/volume_place.ts";
import { type StoredVolume, VolumeStore } from "../../../src/volume/volume_store.ts";
import { test } from "../../support/harness.ts";
import { openHome } from "../../support/home/open_home.ts";
import { seededRandom } from "../../support/random.ts";
import { VolumeProgram } from "../../support/volume/start_program.ts";

const noUsers = () => [];

function make(store: VolumeStore, name: string, labels = {}): Promise<StoredVolume> {
  return store.create({ name, kind: "directory", sizeBytes: undefined, labels }, async (path) =>
    mkdirSync(path),
  );
}

/** What is in the directory of volumes, without locks. */
function entries({ home }: StateStore): string[] {
  return readdirSync(join(home, "volumes"))
    .filter((name) => !name.includes(".lock"))
    .sort();
}

test("VolumeStore makes, finds, lists by name, and removes", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  assert.deepEqual(await store.list(), []);
  assert.equal(await store.find("b"), undefined);
  await assert.rejects(store.get("b"), VolumeNotFoundError);
  const second = await make(store, "b", { team: "blue" });
  const first = await make(store, "a");
  writeFileSync(join(second.path, "x"), "kept");
  assert.deepEqual(await store.list(), [first, second]);
  assert.deepEqual((await store.get("b")).labels, { team: "blue" });
  await assert.rejects(make(store, "b"), VolumeAlreadyExistsError);
  assert.equal(readFileSync(join(second.path, "x"), "utf8"), "kept");
  await assert.rejects(store.remove("b", first.id, noUsers), VolumeNotFoundError); // another has that id
  await store.remove("b", second.id, noUsers);
  await assert.rejects(store.remove("b", undefined, noUsers), VolumeNotFoundError);
  assert.deepEqual(entries(home.state), [first.id]);
  assert.notEqual((await make(store, "b")).id, second.id);
});

test("VolumeStore.create() leaves nothing of a volume whose content cannot be made", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const broken = new Error("no disk");
  const failing = store.create({ name: "a", kind: "disk", sizeBytes: 1, labels: {} }, async (path) => {
    writeFileSync(path, "half");
    throw broken;
  });
  await assert.rejects(failing, { code: "io", cause: broken });
  assert.deepEqual(readdirSync(join(home.path, "volumes")), []);
  await make(store, "a");
});

test("VolumeStore: of many that make the same name at once, one succeeds, and find() sees it whole", async () => {
  using home = openHome();
  const stores = Array.from({ length: 8 }, () => new VolumeStore(home.state));
  const outcomes = await Promise.allSettled(stores.map((store) => make(store, "same")));
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  for (const outcome of outcomes)
    if (outcome.status === "rejected") assert.ok(outcome.reason instanceof VolumeAlreadyExistsError);
  const { id, path } = await new VolumeStore(home.state).get("same");
  assert.ok(existsSync(path));
  assert.deepEqual(entries(home.state), [id]);
});

test("VolumeStore heals what a process left that was killed at any step", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const row = (name: string, id: string) =>
    home.state.volumes.insert({
      ...{
        id,
        name,
        kind: "directory",
        sizeBytes: undefined,
        labels: {},
        maker: undefined,
        createdAt: new Date(),
      },
    });
  const [half, unnamed, removed, forgotten] = Array.from({ length: 4 }, () => randomUUID());
  const at = (id: string | undefined, suffix: string) => `${volumeDirectory(home.path, id ?? "")}${suffix}`;
  mkdirSync(join(at(half, ".new"), "data"), { recursive: true });
  mkdirSync(join(at(unnamed, ".new"), "data"), { recursive: true });
  row("unnamed", unnamed ?? "");
  mkdirSync(join(at(removed, ".old"), "data"), { recursive: true });
  row("removed", removed ?? "");
  mkdirSync(join(at(forgotten, ".old"), "data"), { recursive: true });
  // The state database was lost: these files are a person's.
  const orphan = randomUUID();
  mkdirSync(join(at(orphan, ""), "data"), { recursive: true });
  mkdirSync(join(home.path, "volumes", "mine"));

  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ["unnamed"],
  );
  assert.deepEqual(entries(home.state), ["mine", orphan, unnamed].sort());
  await make(store, "removed");
});

test("VolumeStore heals nothing of a process that is at work", async () => {
  using home = openHome();
  const program = await VolumeProgram.start(home.path, "make", "slow");
  try {
    const store = new VolumeStore(home.state);
    assert.equal(await store.find("slow"), undefined);
    assert.deepEqual(
      entries(home.state).map((name) => name.replace(/^[0-9a-f-]{36}/, "")),
      [".new"],
    );
    await program.kill();
    assert.equal(await store.find("slow"), undefined);
    assert.deepEqual(readdirSync(join(home.path, "volumes")), []);
  } finally {
    await program.kill();
  }
});

test("VolumeStore: a process that is killed while it makes and removes volumes leaves whole ones only", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const random = seededRandom("when it is killed");
  for (let round = 0; round < 4; round++) {
    const program = await VolumeProgram.start(home.path, "churn");
    await delay(random.integer(0, 40));
    await program.kill();
    const volumes = await store.list();
    assert.ok(volumes.length >= 1);
    for (const { path } of volumes) assert.deepEqual(readdirSync(path).sort(), ["a", "b", "c"]);
    assert.deepEqual(entries(home.state), volumes.map(({ id }) => id).sort());
    for (const { name } of volumes) await store.remove(name, undefined, noUsers);
    assert.deepEqual(entries(home.state), []);
  }
});

test("VolumeStore.remove() refuses a volume that a process uses, until it is killed", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const { id, name, path } = await make(store, "cache");
  const program = await VolumeProgram.start(home.path, "hold", id);
  try {
    await assert.rejects(
      store.remove(name, undefined, () => ["box"]),
      (error) => {
        assert.ok(error instanceof VolumeInUseError);
        assert.deepEqual([error.code, error.volume, error.sandboxes], ["volumeInUse", "cache", ["box"]]);
        return true;
      },
    );
    assert.ok(existsSync(path));
    store.discard({ id });
    assert.ok(existsSync(path));
    await program.kill();
    await store.remove(name, undefined, noUsers);
    assert.ok(!existsSync(path));
  } finally {
    await program.kill();
  }
});

test("VolumeStore takes back what a killed process has made for a sandbox that never came up", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const dead = { ...ownProcess(), pid: 999_999_999 };
  const makeFor = (name: string, maker: ProcessIdentity) =>
    store.create({ name, kind: "directory", sizeBytes: undefined, labels: {}, maker }, async (path) =>
      mkdirSync(path),
    );
  const used = await makeFor("used", dead);
  using use = tryLockVolume(home.path, used.id, "use", "shared");
  assert.ok(use !== undefined);
  await makeFor("own", ownProcess());
  const settled = await makeFor("settled", dead);
  home.state.volumes.settle(settled.id);
  await makeFor("gone", dead);
  const names = async () => (await store.list()).map(({ name }) => name);
  assert.deepEqual(await names(), ["own", "settled", "used"]);
  use[Symbol.dispose]();
  assert.deepEqual(await names(), ["own", "settled"]);
  store.discard(settled); // a boot that fails removes no volume that another one has come up with
  assert.deepEqual(await names(), ["own", "settled"]);
});

test("VolumeStore.use() keeps a volume, and finds out that it is gone", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const volume = await make(store, "cache");
  {
    using _first = await store.use(volume);
    using _second = await store.use(volume);
    await assert.rejects(store.remove("cache", undefined, noUsers), VolumeInUseError);
  }
  await store.remove("cache", undefined, noUsers);
  await assert.rejects(store.use(volume), VolumeNotFoundError);
});

test("VolumeStore removes a volume whose directory a person has moved away", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const { id } = await make(store, "cache");
  renameSync(volumeDirectory(home.path, id), join(home.path, "elsewhere"));
  assert.equal((await store.get("cache")).id, id);
  await store.remove("cache", undefined, noUsers);
  assert.deepEqual(await store.list(), []);
});

test("VolumeStore removes locks that lead to nothing once they are old", async () => {
  using home = openHome();
  const store = new VolumeStore(home.state);
  const { id } = await make(store, "cache");
  const gone = randomUUID();
  tryLockVolume(home.path, gone, "use", "shared")?.[Symbol.dispose]();
  store.heal();
  const path = `${volumeDirectory(home.path, gone)}.lock`;
  assert.ok(existsSync(path)); // it may belong to one that is about to be made
  utimesSync(path, new Date(0), new Date(0));
  store.heal();
  assert.ok(!existsSync(path));
  assert.ok(existsSync(`${volumeDirectory(home.path, id)}.lock`));
});

test("tryLockVolume() has one writer, or any number of readers, and locks of one name are its own", () => {
  using home = openHome();
  const id = randomUUID();
  {
    using writer = tryLockVolume(home.path, id, "claim", "exclusive");
    assert.ok(writer !== undefined);
    assert.ok(isVolumeLocked(home.path, id, "claim", "shared"));
    assert.ok(!isVolumeLocked(home.path, id, "use", "exclusive"));
  }
  using one = tryLockVolume(home.path, id, "claim", "shared");
  using two = tryLockVolume(home.path, id, "claim", "shared");
  assert.ok(one !== undefined && two !== undefined);
  assert.ok(isVolumeLocked(home.path, id, "claim", "exclusive"));
});

test("volumeIdOf() knows the volume that a path lies in, and no other path", async () => {
  using home = openHome();
  assert.equal(volumeIdOf(home.path, "/tmp"), undefined);
  const { id, path } = await make(new VolumeStore(home.state), "cache");
  assert.equal(volumeIdOf(home.path, path), id);
  assert.equal(volumeIdOf(home.path, join(path, "below/it")), id);
  for (const other of [home.path, join(home.path, "volumes"), `${path.replace(id, `${id}.old`)}`, "/", ""])
    assert.equal(volumeIdOf(home.path, other), undefined, other);
});

const missing =
  process.getuid?.() === 0 && findProgram("setpriv") !== undefined ? undefined : "needs root and setpriv";

test(
  "VolumeStore removes what a guest has closed for its owner, and works on when something cannot be removed",
  () => {
    using home = openHome();
    const { file, args } = runtimeCommand(new URL("../../support/volume/closed_program.ts", import.meta.url));
    // Root, without the power to pass over the modes of files.
    const lost = "-dac_override,-dac_read_search,-fowner";
    const words = [`--bounding-set=${lost}`, `--inh-caps=${lost}`, file, ...args, home.path];
    const { stdout, stderr } = spawnSync("setpriv", words, { encoding: "utf8", timeout: 60_000 });
    assert.equal(stderr, "");
    const { taken, ...others } = JSON.parse(stdout);
    assert.match(taken, /EACCES|EPERM|permi/i);
    assert.deepEqual(others, {
      closed: "removed",
      leftOfClosed: [],
      leftOfTaken: [".old"],
      next: "removed",
      names: [],
    });
  },
  { missing, timeoutMs: 90_000 },
);
