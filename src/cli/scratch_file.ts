/** Files and directories of a command's own, for what cannot go from one place to the other at once. @module */
import { chmodSync, createReadStream, createWriteStream, mkdtempSync, readdirSync, rmSync } from "node:fs";
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

/** A directory for this user alone, which is removed with all that is in it when this is disposed of. */
export function scratchDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "msb-"));
  return {
    path,
    [Symbol.dispose]: () => {
      makeWritable(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** What is in a directory without write permission can only be removed by root. */
function makeWritable(directory: string): void {
  chmodSync(directory, 0o700);
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) makeWritable(join(directory, entry.name));
}

/** Writes standard input to `path`, to its end. */
export async function receiveFile({ stdin, signal }: CliContext, path: string): Promise<void> {
  await pipeline(stdin, createWriteStream(path, { mode: 0o600 }), { signal });
}

/** Writes the file to standard output, as fast as it is read. */
export async function sendFile({ stdout, signal }: CliContext, path: string): Promise<void> {
  for await (const chunk of createReadStream(path, { signal })) await stdout.write(chunk);
}
