/** A tree of 10,000 files into a real sandbox and out of it, beside `tar` in the same one. @module */
import { join } from "node:path";
import { doctor, Sandbox } from "../../mod.ts";
import { getSandbox } from "../../src/backend/backend.ts";
import { defaultBackend } from "../../src/backend/default_backend.ts";
import { makeRootfs } from "../../tests/support/vm/images.ts";
import type { Figure } from "../support/figures.ts";
import { makeManyFiles, ratiosToTar, timeManyFiles } from "./many_files.ts";

/** `copyFromHost` is to be so many times as fast as `tar`. */
const TAR_RATIO_MIN = 2;
const MEMORY_MIB = 512;
const NAME = "bench-files";

/** @param directory Where the sandbox's home and the trees go. */
export async function measureInVm(directory: string, rounds: number): Promise<Figure[]> {
  process.env["MSB_HOME"] = join(directory, "home");
  const source = join(directory, "vm-source");
  makeManyFiles(source);
  const image = makeRootfs(join(directory, "rootfs"));
  await using sandbox = await Sandbox.builder(NAME).image(image).memory(MEMORY_MIB).create();
  const client = await (await getSandbox(defaultBackend(), NAME)).sandbox.connect();
  const host = join(directory, "vm-host");
  const times = await timeManyFiles({ fs: sandbox.fs(), client, source, guest: "/bench", host }, rounds);
  const { into, out } = ratiosToTar(times);
  const { engine } = await doctor({ trial: false });
  const where = `in the same VM (${engine})`;
  return [
    {
      name: `copyFromHost of 10,000 files, times as fast as tar ${where}`,
      value: into,
      unit: "×",
      limit: { kind: "at least", value: TAR_RATIO_MIN },
      detail: { times },
    },
    { name: `copyToHost of 10,000 files, times as fast as tar ${where}`, value: out, unit: "×" },
  ];
}
