/**
 * The sandbox's own network beside passt, in two sandboxes that run at the same time: pair by pair, in changing order, as the
 * machine's speed changes more from minute to minute than they differ.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type NetworkOptions, NetworkPolicy, Sandbox } from "../../mod.ts";
import { makeRootfs } from "../../tests/support/vm/images.ts";
import { type Figure, sample } from "../support/figures.ts";

const WAYS = ["host", "passt"] as const;
type Way = (typeof WAYS)[number];

/** What is measured: the word of `net_bench`, how much of it, and what its number counts. */
const MEASURES = [
  { word: "down", amount: 64, name: "download", unit: "MB/s" },
  { word: "up", amount: 64, name: "upload", unit: "MB/s" },
  { word: "rate", amount: 200, name: "connections a second", unit: "1/s" },
] as const;

/** Where the server is. */
export interface ServerPlace {
  readonly address: string;
  readonly port: number;
}

/** How many times as fast as passt, with both figures. */
export async function measurePairs(
  directory: string,
  program: string,
  server: ServerPlace,
  rounds: number,
): Promise<Figure[]> {
  const image = makeRootfs(join(directory, "rootfs"));
  const sandboxes = new Map<Way, Sandbox>();
  try {
    for (const via of WAYS) {
      const network: NetworkOptions =
        via === "passt" ? { mode: "user", via } : { policy: NetworkPolicy.allowAll() };
      const sandbox = await Sandbox.create({ name: `bench-${via}`, image, memoryMiB: 256, network });
      sandboxes.set(via, sandbox);
      await sandbox.fs().write("/net_bench", readFileSync(program));
      await sandbox.exec("chmod", ["755", "/net_bench"]);
    }
    const figures: Figure[] = [];
    for (const measure of MEASURES) figures.push(...(await measureOne(sandboxes, measure, server, rounds)));
    return figures;
  } finally {
    for (const sandbox of sandboxes.values()) {
      await sandbox.kill();
      await Sandbox.remove(sandbox.name);
    }
  }
}

async function measureOne(
  sandboxes: ReadonlyMap<Way, Sandbox>,
  { word, amount, name, unit }: (typeof MEASURES)[number],
  { address, port }: ServerPlace,
  rounds: number,
): Promise<Figure[]> {
  const runs: Record<Way, number[]> = { host: [], passt: [] };
  for (let round = 0; round < rounds; round++) {
    for (const way of round % 2 === 0 ? WAYS : WAYS.toReversed()) {
      const output = await sandboxes
        .get(way)
        ?.exec("/net_bench", [word, address, String(port), String(amount)]);
      if (output?.code !== 0) throw new Error(`${word} by ${way} failed: ${output?.stderr()}`);
      runs[way].push(Number(output.stdout()));
    }
  }
  const ratio = sample(runs.host.map((value, index) => value / (runs.passt[index] ?? 1)));
  const [host, passt] = [sample(runs.host), sample(runs.passt)];
  return [
    { name: `${name}, ours`, value: host.median, unit, detail: { ...host } },
    { name: `${name}, passt`, value: passt.median, unit, detail: { ...passt } },
    {
      name: `${name}, times as fast as passt`,
      value: ratio.median,
      unit: "×",
      limit: { kind: "at least", value: 1 },
      detail: { ...ratio },
    },
  ];
}
