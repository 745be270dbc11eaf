/**
 * Stop, start, read, time after time, with random writes right before each stop and no `sync` in the guest.
 *
 * `MSB_STOP_CYCLES` says how often, `MSB_TEST_SEED` replays the choices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Sandbox, Stdin } from "../../mod.ts";
import { countFrom } from "../support/count.ts";
import { assertCleanDisk } from "../support/home/disks.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { homeTest } from "../support/vm/vm.ts";

const CYCLES = countFrom("MSB_STOP_CYCLES", 20);
const CYCLE_TIMEOUT_MS = 60_000;
const WRITES_MAX = 6;
const FILES = ["a", "b", "c", "d", "e", "f"];
const BLOCK_BYTES = 4096;
const WRITE_BYTES_MAX = 256 * 1024;

/** What the disk must hold, by name. */
type Model = Map<string, Uint8Array>;

homeTest(
  `stop() leaves every write on a clean disk, ${CYCLES} times`,
  async ({ home, create }) => {
    const random = seededRandom("writes before a stop");
    const model: Model = new Map();
    let sandbox = await create();
    assert.equal((await sandbox.exec("mkdir", ["/data"])).code, 0);
    for (let cycle = 1; cycle <= CYCLES; cycle++) {
      const writes = random.integer(1, WRITES_MAX);
      for (let write = 0; write < writes; write++) await writeSomething(sandbox, model, random);
      await sandbox.stop(); // nobody has called sync
      assertCleanDisk(home, sandbox.name);
      sandbox = await Sandbox.start(sandbox.name);
      assert.deepEqual(await digestsOf(sandbox), expectedDigests(model), `after stop ${cycle}`);
    }
  },
  { timeoutMs: CYCLES * CYCLE_TIMEOUT_MS },
);

/** A new file, a longer one, other bytes in the midst of one, another name, or none any more. */
async function writeSomething(sandbox: Sandbox, model: Model, random: SeededRandom): Promise<void> {
  const name = random.pick(FILES);
  const path = `/data/${name}`;
  const before = model.get(name);
  const action =
    before === undefined ? "write" : random.pick(["write", "append", "overwrite", "rename", "remove"]);
  const data = random.bytes(random.integer(1, WRITE_BYTES_MAX));
  if (before === undefined || action === "write") {
    await run(sandbox, `cat > ${path}`, data);
    model.set(name, data);
  } else if (action === "append") {
    await run(sandbox, `cat >> ${path}`, data);
    model.set(name, Buffer.concat([before, data]));
  } else if (action === "overwrite") {
    const block = random.integer(0, Math.floor(before.length / BLOCK_BYTES));
    await run(sandbox, `dd of=${path} bs=${BLOCK_BYTES} seek=${block} conv=notrunc 2> /dev/null`, data);
    const start = block * BLOCK_BYTES;
    const rest = before.subarray(start + data.length);
    model.set(name, Buffer.concat([before.subarray(0, start), data, rest]));
  } else if (action === "rename") {
    const to = random.pick(FILES);
    if (to === name) return;
    await run(sandbox, `mv ${path} /data/${to}`);
    model.set(to, before);
    model.delete(name);
  } else {
    await run(sandbox, `rm ${path}`);
    model.delete(name);
  }
}

async function run(sandbox: Sandbox, script: string, input = new Uint8Array(0)): Promise<void> {
  const output = await sandbox.shell(script, { stdin: Stdin.bytes(input) });
  assert.equal(output.code, 0, `${script}: ${output.stderr()}`);
}

/** `digest  name` of each file in the guest. */
async function digestsOf(sandbox: Sandbox): Promise<string[]> {
  const script = "cd /data && for file in *; do [ ! -e $file ] || sha256sum $file; done";
  const output = await sandbox.shell(script);
  assert.equal(output.code, 0, output.stderr());
  return output
    .stdout()
    .split("\n")
    .filter((line) => line !== "");
}

function expectedDigests(model: Model): string[] {
  return [...model.keys()]
    .toSorted()
    .map((name) => `${createHash("sha256").update(model.get(name)!).digest("hex")}  ${name}`);
}
