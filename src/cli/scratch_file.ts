/** A file between a pipe and what needs to go back and forth in an archive. @module */
import { createReadStream, createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { CliContext } from "./context.ts";

/** A path in a directory of its own, which is removed when this is disposed of. */
export function scratchFile(name: string): { readonly path: string } & Disposable {
  const directory = mkdtempSync(join(tmpdir(), "msb-"));
  return {
    path: join(directory, name),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Writes standard input to `path`, to its end. */
export async function receiveFile({ stdin, signal }: CliContext, path: string): Promise<void> {
  await pipeline(stdin, createWriteStream(path, { mode: 0o600 }), { signal });
}

/** Writes the file to standard output, as fast as it is read. */
export async function sendFile({ stdout, signal }: CliContext, path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { signal })) await stdout.write(chunk);
}
