/** One large file, in and out by Web Streams. @module */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../src/base/bytes.ts";
import { type Figure, sample } from "../support/figures.ts";
import type { NativeFiles } from "./native.ts";

const SIZE_MIB = 256;
const CHUNK_BYTES = 256 * 1024;
const MB_PER_SECOND_MIN = 400;

export async function measureStreams({ fs, directory }: NativeFiles, rounds: number): Promise<Figure[]> {
  const path = join(directory, "large");
  const chunk = new Uint8Array(CHUNK_BYTES).fill(7);
  const [into, out]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    let left = (SIZE_MIB * MiB) / CHUNK_BYTES;
    const source = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (left-- > 0) controller.enqueue(chunk);
          else controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    into.push(await megabytesPerSecond(() => fs.write(path, source)));
    out.push(
      await megabytesPerSecond(async () => {
        let bytes = 0;
        for await (const part of await fs.readStream(path)) bytes += part.length;
        if (bytes !== SIZE_MIB * MiB) throw new Error(`${bytes} bytes arrived`);
      }),
    );
    rmSync(path);
  }
  return [
    ["stream in", into],
    ["stream out", out],
  ].map(([name, runs]) => {
    const speed = sample(runs as number[]);
    return {
      name: `${name} (no VM)`,
      value: speed.median,
      unit: "MB/s",
      limit: { kind: "at least", value: MB_PER_SECOND_MIN },
      detail: { speed, sizeMiB: SIZE_MIB },
    } as const;
  });
}

async function megabytesPerSecond(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (SIZE_MIB * MiB) / 1000 / (performance.now() - begin);
}
