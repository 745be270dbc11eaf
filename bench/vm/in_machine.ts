/**
 * The figures that need a VM, taken on the machine that this runs on. Its last line is a JSON array of them.
 *
 *     in_machine.ts ENGINE ROUNDS DIRECTORY PROGRAMS_JSON
 *
 * @module
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Figure } from "../support/figures.ts";
import type { NativePrograms } from "../support/native_programs.ts";
import { measureBoot } from "./boot.ts";
import { measureExec } from "./exec_true.ts";
import { measureMemory } from "./memory.ts";

const EXECS = 50;

/** A root file system with the two programs that the figures need. */
function makeImage(directory: string, { forkExec }: NativePrograms): string {
  const image = join(directory, "image");
  mkdirSync(join(image, "bin"), { recursive: true });
  for (const name of ["true", "fork_exec"]) copyFileSync(forkExec, join(image, "bin", name));
  return image;
}

async function main(engine: "krun" | "qemu", rounds: number, directory: string, programs: NativePrograms) {
  const image = makeImage(directory, programs);
  const figures: Figure[] = [];
  if (engine === "krun") figures.push(await measureBoot(programs, image, rounds));
  figures.push(await measureExec(engine, image, EXECS));
  figures.push(await measureMemory(engine, image));
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
}

const [engine, rounds, directory, programs] = process.argv.slice(2);
if (engine !== "krun" && engine !== "qemu") throw new Error("ENGINE is krun or qemu");
await main(engine, Number(rounds), directory ?? "", JSON.parse(programs ?? "{}"));
