/**
 * Speed of mounts, each figure beside its limit.
 *
 *     bun bench/mounts.ts [--json build/bench-mounts.json] [--rounds 5] [--only server,vm] [--size-mib 1024] [--files 10000]
 *
 * `server` asks the server, without a VM. `vm` does the same work on a mount and on the guest's own disk, beside QEMU's
 * virtiofsd where that is installed; it needs busybox-static, git and tar. Set TMPDIR to a directory in memory.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureInVm } from "./mounts/in_vm.ts";
import { measureServer } from "./mounts/server.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet } from "./support/figures.ts";

const PARTS = ["server", "vm"] as const;
/** Under emulation, each round takes minutes. */
const VM_ROUNDS_MAX = 3;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "string" },
      rounds: { type: "string", default: "5" },
      only: { type: "string" },
      "size-mib": { type: "string", default: "1024" },
      files: { type: "string", default: "10000" },
    },
  });
  const parts = values.only?.split(",") ?? PARTS;
  const rounds = Number(values.rounds);
  const figures: Figure[] = [];
  using directory = temporaryBenchDirectory();
  if (parts.includes("server")) {
    mkdirSync(join(directory.path, "server"));
    figures.push(...(await measureServer(join(directory.path, "server"), rounds)));
  }
  if (parts.includes("vm")) {
    mkdirSync(join(directory.path, "vm"));
    const amount = { sizeMiB: Number(values["size-mib"]), files: Number(values.files) };
    const options = { rounds: Math.min(rounds, VM_ROUNDS_MAX), ...amount };
    figures.push(...(await measureInVm(join(directory.path, "vm"), options)));
  }
  console.log(formatTable(figures));
  if (values.json !== undefined) {
    const path = fileURLToPath(new URL(`../${values.json}`, import.meta.url));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify({ machine: describeMachine(), figures }, undefined, 2)}\n`);
  }
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
}

await main();
