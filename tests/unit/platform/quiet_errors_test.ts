import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { createGunzip, createZstdDecompress, gzipSync, zstdCompressSync } from "node:zlib";
import { withQuietErrors } from "../../../src/platform/quiet_errors.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

for (const [name, create, compress] of [
  ["gzip", createGunzip, gzipSync],
  ["zstd", createZstdDecompress, zstdCompressSync],
] as const) {
  function damaged(): Buffer {
    const packed = Buffer.from(compress(seededRandom(name).bytes(300_000)));
    return packed.fill(7, 5, 60);
  }

  test(`withQuietErrors() lets a ${name} decoder be destroyed while it decodes what is damaged`, async () => {
    for (let round = 0; round < 20; round++) {
      const decoder = withQuietErrors(create());
      decoder.write(damaged());
      if (round % 2 === 0) await new Promise(setImmediate);
      decoder.destroy();
      await delay(5); // an error that nobody takes ends the test's process
    }
  });

  test(`withQuietErrors() keeps no error of a ${name} decoder from those who listen`, async () => {
    const decoder = withQuietErrors(create());
    decoder.resume().end(damaged());
    const [error] = await once(decoder, "error").catch((error: unknown) => [error]);
    assert.ok(error instanceof Error);
  });
}
