/**
 * What a creation does before its VM runs: the engine here is a file that is no QEMU, with a kernel that is none, so that
 * each boot that is reached fails at its first step.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PullProgress, Sandbox } from "../../../../mod.ts";
import { startCore } from "../../../../src/backend/local/create.ts";
import { LocalSandbox, openState } from "../../../../src/backend/local/local_sandbox.ts";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { storedConfig } from "../../../support/home/stored_config.ts";
import { TestRegistry } from "../../../support/oci/server.ts";

const REGISTRY = { auth: { kind: "anonymous" }, insecure: true } as const;

/** A home where an engine is found that cannot run anything. */
class EngineLessHome extends StateHome {
  readonly #before = new Map<string, string | undefined>();

  constructor() {
    super();
    const file = join(this.path, "not-an-engine");
    writeFileSync(file, "", { mode: 0o755 });
    for (const [name, value] of Object.entries({ MSB_ENGINE: "qemu", MSB_QEMU: file, MSB_LIBKRUNFW: file })) {
      this.#before.set(name, process.env[name]);
      process.env[name] = value;
    }
  }

  override [Symbol.dispose](): void {
    for (const [name, value] of this.#before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    super[Symbol.dispose]();
  }
}

test("create() gives a sandbox the labels of its image, under the caller's", async () => {
  using home = new EngineLessHome();
  await using registry = await TestRegistry.start();
  const config = { Labels: { version: "1", maintainer: "us", long: "x".repeat(1025) } };
  registry.addImage({ layers: [], config }, "v1");
  const labels = { version: "2", team: "blue" };
  const expected = { version: "2", team: "blue", maintainer: "us" };
  const seen: unknown[] = [];
  const onStep = (step: string): void => {
    if (step !== "kernel") return; // the name has been claimed
    const [record, ...others] = home.state.list({ labels: { maintainer: "us", version: "2" } });
    assert.deepEqual(others, []);
    seen.push(record?.labels, JSON.parse(record?.configJson ?? "{}").labels);
  };
  const creating = Sandbox.create(
    { name: "x", image: `${registry.host}/app:v1`, labels },
    { registry: REGISTRY, onStep },
  );
  await assert.rejects(creating, { code: "bootStart" });
  assert.deepEqual(seen, [expected, expected]);
});

test("startCore() waits for the end of the boot that another process has had meanwhile", async () => {
  using home = new EngineLessHome();
  await using images = await TestRegistry.start();
  images.addImage({ layers: [] }, "v1");
  const image = await resolveImage(`${images.host}/app:v1`, { home: home.path, registry: REGISTRY });
  const registry = openState();
  const claim = { runDirectory: join(home.path, "gone"), host: { pid: 1, startTime: "never" } };
  const first = registry.claimCreate({
    ...claim,
    id: "id",
    name: "x",
    configJson: storedConfig("x"),
    imageDigest: image.digest,
    labels: {},
  });
  registry.transition(first, "stopped");
  const core = new LocalSandbox(registry, { id: "id", name: "x" });
  const settled: number[] = [];
  const settle = core.settle.bind(core);
  core.settle = async (record) => {
    await settle(record);
    settled.push(record.bootNumber);
    if (record.bootNumber > 1) return;
    const second = registry.claimStart(record, claim); // as another process would, right behind our look
    assert.ok(second !== undefined && registry.transition(second, "stopped"));
  };
  await assert.rejects(startCore(core), { code: "bootStart" });
  assert.deepEqual(settled, [1, 2]);
  assert.equal(registry.get("x").bootNumber, 3);
});

test("createWithPullProgress() tells the pull, then the error of the boot", async () => {
  using _home = new EngineLessHome();
  await using registry = await TestRegistry.start();
  registry.addImage({ layers: [] }, "v1");
  const creation = Sandbox.builder("x")
    .image(`${registry.host}/app:v1`)
    .createWithPullProgress({ registry: REGISTRY });
  const kinds = await kindsOf(creation);
  assert.deepEqual(kinds, ["resolving", "resolved", "stitchWritingFsmeta", "stitchComplete", "complete"]);
  await assert.rejects(creation.awaitSandbox(), { code: "bootStart" });
});

test("createWithPullProgress() ends the events of a pull that fails, and shows its error", async () => {
  using _home = new EngineLessHome();
  await using registry = await TestRegistry.start();
  const creation = Sandbox.builder("x")
    .image(`${registry.host}/app:v1`)
    .createWithPullProgress({ registry: REGISTRY });
  assert.equal((await creation.progress.recv())?.kind, "resolving");
  assert.equal(await creation.progress.recv(), null);
  await assert.rejects(creation.awaitSandbox(), { code: "imageNotFound" });
});

test("createWithPullProgress() shows options that are refused by awaitSandbox(), after no event", async () => {
  using _home = new EngineLessHome();
  const creation = Sandbox.builder("").image("app").createWithPullProgress();
  assert.deepEqual(await kindsOf(creation), []);
  await assert.rejects(creation.awaitSandbox(), { code: "invalidConfig" });
});

async function kindsOf(events: AsyncIterable<PullProgress>): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind } of events) kinds.push(kind);
  return kinds;
}
