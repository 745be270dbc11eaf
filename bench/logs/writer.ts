/**
 * What capturing costs, by the size of the pieces in which output comes; and what a bare write of the same bytes costs.
 * Processor time, of the process and of the system for it: waiting for the disk or for other processes does not count.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { KiB, MiB } from "../../src/base/bytes.ts";
import { openExecLogWriter } from "../../src/logs/exec_log_writer.ts";
import type { Figure } from "../support/figures.ts";
import { aliveBytes, median } from "./fixture.ts";

const RUNS = 7;
const RUN_BYTES = 24 * MiB;
const OUTPUT = Buffer.from("a line of output as programs write them, with a number 123456\n".repeat(1100));

export function measureWriter(home: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  const before = aliveBytes();
  using writer = openExecLogWriter({ directory: join(home, "writer"), sandboxId: "writer" });
  writer.append("stdout", 1, OUTPUT);
  const heldKiB = (aliveBytes() - before) / KiB;
  for (const pieceBytes of [64 * KiB, 4 * KiB, 128]) {
    const piece = OUTPUT.subarray(0, pieceBytes);
    const [ours, bare]: [number[], number[]] = [[], []];
    for (let run = 0; run < RUNS; run++) {
      ours.push(microsecondsPerKiB(pieceBytes, () => writer.append("stdout", 1, piece)));
      bare.push(measureBare(join(home, "bare"), piece));
    }
    const size = pieceBytes >= KiB ? `${pieceBytes / KiB} KiB` : `${pieceBytes} bytes`;
    const limit = pieceBytes === 64 * KiB ? ({ kind: "at most", value: 1.5 } as const) : undefined;
    figures.push(
      { name: `writer, output in pieces of ${size}`, value: median(ours), unit: "us/KiB", limit },
      { name: `  of this a bare write of the same bytes`, value: median(bare), unit: "us/KiB" },
    );
  }
  figures.push({
    name: "writer, memory that it holds",
    value: heldKiB,
    unit: "KiB",
    limit: { kind: "at most", value: 1024 },
  });
  return Promise.resolve(figures);
}

function microsecondsPerKiB(pieceBytes: number, append: () => void): number {
  const pieces = Math.ceil(Math.min(RUN_BYTES, pieceBytes * 20_000) / pieceBytes);
  const before = process.cpuUsage();
  for (let piece = 0; piece < pieces; piece++) append();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / ((pieces * pieceBytes) / KiB);
}

function measureBare(path: string, piece: Uint8Array): number {
  const descriptor = openSync(path, "a");
  const result = microsecondsPerKiB(piece.length, () => writeSync(descriptor, piece));
  closeSync(descriptor);
  rmSync(path);
  return result;
}
