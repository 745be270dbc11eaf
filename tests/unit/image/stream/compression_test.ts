import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MiB } from "../../../../src/base/bytes.ts";
import { decompressDetected, detectCompression } from "../../../../src/image/stream/compression.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

const TEXT = Buffer.from("text that repeats ".repeat(20_000));
const SKIPPABLE = Buffer.from("5a2a4d1804000000aabbccdd", "hex");

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Uint8Array, pieceBytes = 1000): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompressDetected(inPieces(bytes, pieceBytes))) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function noise(label: string, size: number): Uint8Array {
  return seededRandom(label).bytes(size);
}

test("detectCompression() goes by the first bytes", () => {
  assert.equal(detectCompression(gzipSync(TEXT)), "gzip");
  assert.equal(detectCompression(zstdCompressSync(TEXT)), "zstd");
  assert.equal(detectCompression(SKIPPABLE), "zstd");
  assert.equal(detectCompression(TEXT), "none");
  assert.equal(detectCompression(new Uint8Array(0)), "none");
});

for (const [name, hex] of [
  ["bzip2", "425a6839"],
  ["xz", "fd377a585a00"],
  ["lz4", "04224d18"],
] as const) {
  test(`detectCompression() says that ${name} is not supported`, () => {
    const detect = (): unknown => detectCompression(Buffer.from(hex, "hex"));
    assert.throws(detect, { code: "tarInvalid", problem: `it is compressed with ${name}` });
  });
}

for (const [name, bytes, expected] of [
  ["nothing", TEXT, TEXT],
  ["an empty stream", Buffer.alloc(0), Buffer.alloc(0)],
  ["gzip", gzipSync(TEXT), TEXT],
  ["two gzip members", Buffer.concat([gzipSync(TEXT), gzipSync(TEXT)]), Buffer.concat([TEXT, TEXT])],
  ["zstd", zstdCompressSync(TEXT), TEXT],
  ["an empty zstd frame", zstdCompressSync(Buffer.alloc(0)), Buffer.alloc(0)],
  [
    "zstd of many frames, some to skip",
    Buffer.concat([SKIPPABLE, zstdCompressSync(TEXT), SKIPPABLE, zstdCompressSync(TEXT), SKIPPABLE]),
    Buffer.concat([TEXT, TEXT]),
  ],
] as const) {
  test(`decompressDetected() unpacks ${name}`, async () => {
    assert.deepEqual(await unpack(bytes), expected);
  });
}

test("decompressDetected() unpacks zstd however it is cut", async () => {
  const data = noise("zstd pieces", 300_000);
  const packed = Buffer.concat([zstdCompressSync(data), zstdCompressSync(TEXT)]);
  for (const pieceBytes of [7, 4096, packed.length]) {
    assert.deepEqual(await unpack(packed, pieceBytes), Buffer.concat([data, TEXT]));
  }
});

for (const [name, packed] of [
  ["gzip", gzipSync(TEXT)],
  ["zstd", zstdCompressSync(TEXT)],
] as const) {
  test(`decompressDetected() refuses ${name} that is cut short`, async () => {
    for (const missing of [1, 5, Math.floor(packed.length / 2)]) {
      await assert.rejects(
        unpack(packed.subarray(0, packed.length - missing)),
        { code: "tarInvalid" },
        `${missing}`,
      );
    }
  });
}

test("decompressDetected() refuses damaged gzip and zstd", async () => {
  for (const packed of [gzipSync(noise("gzip", 50_000)), zstdCompressSync(TEXT)]) {
    const damaged = Buffer.from(packed);
    for (let at = 8; at < damaged.length; at += 3) damaged[at]! ^= 0xff;
    await assert.rejects(unpack(damaged), { code: "tarInvalid" });
  }
});

test("decompressDetected() refuses zstd that is followed by other data", async () => {
  await assert.rejects(unpack(Buffer.concat([zstdCompressSync(TEXT), TEXT])), { code: "tarInvalid" });
});

test("decompressDetected() closes its source when its reader stops", async () => {
  for (const packed of [gzipSync(TEXT), zstdCompressSync(TEXT), TEXT]) {
    let isClosed = false;
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      try {
        yield* inPieces(packed, 10);
      } finally {
        isClosed = true;
      }
    }
    for await (const _ of decompressDetected(source())) break;
    assert.ok(isClosed);
  }
});

test("decompressDetected() passes on the error of its source", async () => {
  for (const packed of [gzipSync(TEXT), zstdCompressSync(TEXT)]) {
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      yield packed.subarray(0, 20);
      throw new Error("the network is down");
    }
    const reading = (async () => {
      for await (const _ of decompressDetected(source()));
    })();
    await assert.rejects(reading, /the network is down/);
  }
});

/** Where the bytes of the headers of a zstd frame's blocks are: RFC 8878, section 3.1.1. */
function blockHeadersOf(frame: Buffer): Set<number> {
  const flags = frame[4]!;
  const isSingleSegment = (flags & 0x20) !== 0;
  const sizeFlag = flags >> 6;
  const contentSizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag;
  assert.equal(flags & 3, 0, "no dictionary");
  const headers = new Set<number>();
  for (let at = 5 + (isSingleSegment ? 0 : 1) + contentSizeBytes; ; ) {
    const header = frame.readUIntLE(at, 3);
    for (let byte = 0; byte < 3; byte++) headers.add(at++);
    if ((header & 1) !== 0) return headers; // the last block
    const isRepeatedByte = ((header >> 1) & 3) === 1;
    at += isRepeatedByte ? 1 : header >> 3;
  }
}

test("decompressDetected() reports no damage behind the point at which its reader stopped", async () => {
  const text = Buffer.from(Buffer.from(noise("left early", 3 * MiB)).toString("hex"));
  const zstd = zstdCompressSync(text);
  for (const [packed, spared] of [
    [gzipSync(text), new Set<number>()],
    [zstd, blockHeadersOf(zstd)], // what is wrong with those is told before anything is decoded
  ] as const) {
    // Behind the first chunk, so that the decoder meets it when nobody listens any more.
    const damaged = Buffer.from(packed);
    for (let at = Math.round(damaged.length / 5); at < damaged.length - 32; at += 5)
      if (!spared.has(at)) damaged[at]! ^= 0xff;
    for await (const _ of decompressDetected(inPieces(damaged, damaged.length))) break;
    await delay(50); // an error that nobody takes ends the test's process
  }
});
