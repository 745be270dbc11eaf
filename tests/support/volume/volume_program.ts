/**
 * A program that works on the volumes of a home, to be killed while it does.
 *
 * - `churn`: makes and removes volumes, for ever; prints `ready` after the first.
 * - `hold ID`: uses a volume as a VM host process does; prints `ready`.
 * - `make NAME`: begins to make a volume, prints `ready`, and never gets done.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StateStore } from "../../../src/state/state_store.ts";
import { holdVolume } from "../../../src/vmm/host/volume_holds.ts";
import { VolumeStore } from "../../../src/volume/volume_store.ts";

const [home = "", action = "", argument = ""] = process.argv.slice(2);
const state = new StateStore(home);
const store = new VolumeStore(state);
const noUsers = () => [];
const ready = () => process.stdout.write("ready\n");

function make(name: string, fill: (path: string) => Promise<void>) {
  return store.create({ name, kind: "directory", sizeBytes: undefined, labels: {} }, fill);
}

async function fill(path: string): Promise<void> {
  mkdirSync(path);
  for (const name of ["a", "b", "c"]) writeFileSync(join(path, name), name);
}

if (action === "hold") {
  const volume = state.volumes.findById(argument);
  if (volume === undefined) throw new Error(`there is no volume ${argument}`);
  holdVolume(state, (await store.get(volume.name)).path);
  ready();
  setInterval(() => {}, 1_000);
} else if (action === "make") {
  await make(argument, async (path) => {
    await fill(path);
    ready();
    await new Promise(() => setInterval(() => {}, 1_000));
  });
} else {
  for (let turn = 0; ; turn++) {
    await make(`kept-${turn}`, fill);
    await make(`gone-${turn}`, fill);
    await store.remove(`gone-${turn}`, undefined, noUsers);
    if (turn === 0) ready();
  }
}
