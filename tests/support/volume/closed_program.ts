/**
 * A program that removes volumes of a home as a user without root's rights, and prints the outcome. A guest has closed
 * directories of the first to their owner; a directory of the second belongs to another user.
 *
 * @module
 */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../../src/base/errors.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { volumeDirectory } from "../../../src/volume/volume_place.ts";
import { VolumeStore } from "../../../src/volume/volume_store.ts";

const [home = ""] = process.argv.slice(2);
const state = new StateStore(home);
const store = new VolumeStore(state);
const long = join(...Array<string>(17).fill("n".repeat(200)));

async function make(name: string, fill: (path: string) => void): Promise<string> {
  const content = async (path: string) => {
    mkdirSync(path);
    fill(path);
  };
  return (await store.create({ name, kind: "directory", sizeBytes: undefined, labels: {} }, content)).id;
}

async function remove(name: string): Promise<string> {
  try {
    await store.remove(name, undefined, () => []);
    return "removed";
  } catch (error) {
    return messageOf(error);
  }
}

function place(directory: string): string {
  mkdirSync(join(directory, "in"), { recursive: true });
  writeFileSync(join(directory, "in/file"), "content");
  return directory;
}

const closed = await make("closed", (path) => {
  chmodSync(place(join(path, "in/none")), 0);
  chmodSync(place(join(path, "read")), 0o500);
  // Deeper than a path can reach: one long directory is moved into another.
  const [one, two] = [join(path, "one"), join(path, "two")];
  chmodSync(place(join(one, long)), 0);
  mkdirSync(join(two, long), { recursive: true });
  renameSync(one, join(two, long, "one"));
});
const taken = await make("taken", (path) => chownSync(place(join(path, "other")), 65534, 65534));
const result = {
  closed: await remove("closed"),
  leftOfClosed: [".old", ""].filter((suffix) => existsSync(`${volumeDirectory(home, closed)}${suffix}`)),
  taken: await remove("taken"),
  leftOfTaken: [".old", ""].filter((suffix) => existsSync(`${volumeDirectory(home, taken)}${suffix}`)),
  next: await make("next", () => {}).then(() => remove("next")),
  names: (await store.list()).map(({ name }) => name),
};
process.stdout.write(JSON.stringify(result));
