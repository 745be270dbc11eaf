/**
 * This process's standard input and output, by the runtime's own interface: `process.stdin` and `process.stdout` load a
 * whole library of streams first, which takes several times as long as to read and to answer.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { runtimeName } from "./runtime.ts";

/** The parts of the two runtimes in use. Declared here, as neither type checker knows both. */
interface BunInput {
  readonly stdin: { stream(): ReadableStream<Uint8Array> };
}
interface DenoInput {
  readonly stdin: { readonly readable: ReadableStream<Uint8Array> };
}

const STANDARD_OUTPUT = 1;

/** Standard input, to be taken once. */
export function standardInput(): ReadableStream<Uint8Array> {
  const { Bun, Deno } = globalThis as unknown as { readonly Bun: BunInput; readonly Deno: DenoInput };
  return runtimeName() === "bun" ? Bun.stdin.stream() : Deno.stdin.readable;
}

/** Writes `text` to standard output before it returns. Meant for a few lines that somebody reads: it may block. */
export function writeStandardOutput(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(STANDARD_OUTPUT, bytes, written, bytes.length - written);
  }
}
