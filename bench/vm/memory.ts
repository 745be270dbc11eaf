/**
 * Memory of the VM host process besides its guest's.
 *
 * Summed over `/proc/PID/smaps`, some seconds after the guest was ready. Left out are the guest's RAM, which libkrun maps
 * in two pieces around the kernel, and the kernel image, which is libkrunfw's file. Of the rest, `resident` is
 * all that is in memory; `shared` is what of it are pages of files (the runtime's own program above all), which all VM
 * host processes have in common and which the kernel can drop; `private` is what one more sandbox costs.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { Sandbox } from "../../mod.ts";
import { KiB, MiB } from "../../src/base/bytes.ts";
import { homeDirectory } from "../../src/platform/home.ts";
import { StateStore } from "../../src/state/state_store.ts";
import type { Figure } from "../support/figures.ts";

const RESIDENT_MB_MAX = 45;
/** libkrun puts the kernel image here, and the guest's RAM below and above it. */
const KERNEL_LOAD_BYTES = 16 * MiB;
const SETTLE_MS = 3_000;
/** No multiple of what runtimes reserve, so that it is not mistaken for something else. */
const GUEST_MEMORY_MIB = 293;
const MB = 1_000_000;

interface Mapping {
  readonly sizeBytes: number;
  readonly residentBytes: number;
  readonly privateBytes: number;
  /** `""` for anonymous memory. */
  readonly path: string;
}

export async function measureMemory(engine: "krun" | "qemu", image: string): Promise<Figure> {
  const name = `bench-memory-${engine}`;
  const sandbox = await Sandbox.create({ name, image, memoryMiB: GUEST_MEMORY_MIB, engine, replace: true });
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    using state = openState();
    const pid = state.get(name).host?.pid;
    if (pid === undefined) throw new Error("the sandbox has no VM host process");
    const mappings = readMappings(pid);
    const own = mappings.filter((mapping) => !isGuestMemory(mapping) && !mapping.path.includes("libkrunfw"));
    const sum = (pick: (mapping: Mapping) => number, of: readonly Mapping[]) =>
      of.reduce((total, mapping) => total + pick(mapping), 0) / MB;
    const resident = sum(({ residentBytes }) => residentBytes, own);
    const privateMb = sum(({ privateBytes }) => privateBytes, own);
    return {
      name: `VM host process besides guest memory (${engine})`,
      value: resident,
      unit: "MB",
      limit: { kind: "at most", value: RESIDENT_MB_MAX },
      detail: {
        privateMB: privateMb,
        sharedMB: resident - privateMb,
        residentWithGuestMB: sum(({ residentBytes }) => residentBytes, mappings),
        largest: own
          .toSorted((left, right) => right.residentBytes - left.residentBytes)
          .slice(0, 8)
          .map(({ path, residentBytes, sizeBytes }) => ({
            path: path === "" ? "anonymous" : path,
            residentMB: residentBytes / MB,
            sizeMB: sizeBytes / MB,
          })),
      },
    };
  } finally {
    await sandbox.kill();
    await Sandbox.remove(name);
  }
}

function openState(): StateStore & Disposable {
  const state = new StateStore(homeDirectory());
  return Object.assign(state, { [Symbol.dispose]: () => state.close() });
}

function isGuestMemory({ path, sizeBytes }: Mapping): boolean {
  const isAnonymous = path === "" || path.startsWith("/memfd:") || path.startsWith("[anon");
  const isAbove = Math.abs(sizeBytes - (GUEST_MEMORY_MIB * MiB - KERNEL_LOAD_BYTES)) < KERNEL_LOAD_BYTES * 2;
  return isAnonymous && (sizeBytes === KERNEL_LOAD_BYTES || isAbove);
}

function readMappings(pid: number): Mapping[] {
  const text = readFileSync(`/proc/${pid}/smaps`, "utf8");
  return text.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).map((block) => {
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(block)?.[1] ?? 0) * KiB;
    const [head = ""] = block.split("\n", 1);
    return {
      sizeBytes: field("Size"),
      residentBytes: field("Rss"),
      privateBytes: field("Anonymous"),
      path: head.split(/\s+/).slice(5).join(" "),
    };
  });
}
