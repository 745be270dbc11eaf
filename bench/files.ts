/**
 * Speed of the file API: small calls, streams, trees and watches, each figure beside its limit.
 *
 *     bun bench/files.ts [--json build/bench-files.json] [--rounds 5] [--only small,streams,copies,watch,vm]
 *
 * All but `vm` run against the guest's agent as an ordinary process, through the relay and no VM, in memory. `vm` copies a
 * tree of 10,000 files into a real sandbox and out of it, beside `tar` in the same one. Needs gcc and tar.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makeManyFiles, ratiosToTar, timeManyFiles } from "./files/many_files.ts";
import { type NativeFiles, openNativeFiles } from "./files/native.ts";
import { measureSmall } from "./files/small.ts";
import { measureStreams } from "./files/streams.ts";
import { measureInVm } from "./files/vm.ts";
import { measureWatch } from "./files/watch.ts";
import { describeMachine, type Figure, formatTable, isMet } from "./support/figures.ts";

const PARTS = ["small", "streams", "copies", "watch", "vm"] as const;
/** Under emulation, `tar` takes a minute for each way. */
const VM_ROUNDS_MAX = 3;

/** Without a VM, the guest's part is as fast as the host's: this tells what the host's costs. */
async function measureCopies({ fs, client, directory }: NativeFiles, rounds: number): Promise<Figure[]> {
  const [source, guest, host] = ["source", "guest", "host"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  makeManyFiles(source);
  const times = await timeManyFiles({ fs, client, source, guest, host }, rounds);
  const { into, out } = ratiosToTar(times);
  return [
    {
      name: "copyFromHost of 10,000 files, times as fast as tar (no VM)",
      value: into,
      unit: "×",
      detail: { times },
    },
    { name: "copyToHost of 10,000 files, times as fast as tar (no VM)", value: out, unit: "×" },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "string" }, rounds: { type: "string", default: "5" }, only: { type: "string" } },
  });
  const parts = values.only?.split(",") ?? PARTS;
  const rounds = Number(values.rounds);
  const figures: Figure[] = [];
  await using native = await openNativeFiles();
  if (parts.includes("small")) figures.push(...(await measureSmall(native)));
  if (parts.includes("streams")) figures.push(...(await measureStreams(native, rounds)));
  if (parts.includes("copies")) figures.push(...(await measureCopies(native, rounds)));
  if (parts.includes("watch")) figures.push(await measureWatch(native));
  if (parts.includes("vm"))
    figures.push(...(await measureInVm(native.directory, Math.min(rounds, VM_ROUNDS_MAX))));
  console.log(formatTable(figures));
  if (values.json !== undefined) {
    const path = fileURLToPath(new URL(`../${values.json}`, import.meta.url));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify({ machine: describeMachine(), figures }, undefined, 2)}\n`);
  }
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
}

await main();
