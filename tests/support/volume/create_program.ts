/**
 * A program that creates a sandbox with a new volume, and prints `ready` when its VM is about to start: to be killed then.
 *
 * @module
 */
import { Sandbox } from "../../../mod.ts";

const [, image = ""] = process.argv.slice(2); // the first word is the home, as for `volume_program.ts`
const onStep = (step: string) => {
  if (step === "engine") process.stdout.write("ready\n");
};
await Sandbox.create(
  { name: "killed", image, memoryMiB: 128, mounts: { "/data": { volume: "made", mode: "create" } } },
  { onStep },
);
await new Promise(() => setInterval(() => {}, 1_000));
