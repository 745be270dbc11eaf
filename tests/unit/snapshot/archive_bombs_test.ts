/** Small archives of snapshots that try to make their reader hold, write or read too much. @module */
import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { GiB, KiB, MiB } from "../../../src/base/bytes.ts";
import { readArchive } from "../../../src/snapshot/archive_read.ts";
import { ContentDigest } from "../../../src/snapshot/content_digest.ts";
import { encodeDescriptor, type SnapshotDescriptor, UPPER_NAME } from "../../../src/snapshot/descriptor.ts";
import { SnapshotIntegrityError } from "../../../src/snapshot/errors.ts";
import { RUNS_MAX } from "../../../src/snapshot/sparse_writer.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { buildMember, END_MARK, encodePax } from "../image/tar/builder.ts";
import { describeDisk } from "./disks.ts";

/** The descriptor of a disk that is one hole. */
async function describeHole(sizeBytes: number): Promise<SnapshotDescriptor> {
  const descriptor = await describeDisk("/dev/null", sizeBytes);
  const integrity = { ...descriptor.upper.integrity, digest: new ContentDigest(sizeBytes).finish() };
  return { ...descriptor, upper: { ...descriptor.upper, integrity } };
}

const SPARSE = encodePax([
  ["GNU.sparse.major", "1"],
  ["GNU.sparse.minor", "0"],
]);

/** The tar of a snapshot whose disk has that map and data. */
function buildArchive(
  descriptor: SnapshotDescriptor,
  map: string,
  data: Uint8Array = new Uint8Array(),
  pax: Uint8Array = SPARSE,
): Buffer {
  const mapBytes = Buffer.alloc(Math.ceil(map.length / 512) * 512);
  mapBytes.write(map, "latin1");
  return Buffer.concat([
    buildMember({ name: "snapshot.json", data: encodeDescriptor(descriptor).bytes }),
    buildMember({ name: "PaxHeader", type: "x", data: pax }),
    buildMember({ name: `GNUSparseFile.0/${UPPER_NAME}`, data: Buffer.concat([mapBytes, data]) }),
    END_MARK,
  ]);
}

async function readBytes(
  archive: Uint8Array,
  dataBytesMax?: number,
): Promise<{ readonly sizeBytes: number; readonly diskBytes: number }> {
  using directory = temporaryDirectory();
  const path = join(directory.path, "archive");
  writeFileSync(path, archive);
  await readArchive({ path, directory: directory.path, dataBytesMax });
  const { size, blocks } = statSync(join(directory.path, UPPER_NAME));
  return { sizeBytes: size, diskBytes: blocks * 512 };
}

function refusal(problem: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof SnapshotIntegrityError && problem.test(error.message);
}

test("readArchive() reads nothing of the holes of a disk", async () => {
  const sizeBytes = 1024 * GiB;
  const archive = buildArchive(await describeHole(sizeBytes), `1\n${sizeBytes}\n0\n`);
  const read = await readBytes(zstdCompressSync(archive));
  assert.equal(read.sizeBytes, sizeBytes);
  assert.ok(read.diskBytes < 1 * MiB);
});

test("readArchive() leaves zeros in an archive's data as holes", async () => {
  const archive = buildArchive(await describeHole(16 * MiB), `1\n0\n${16 * MiB}\n`, new Uint8Array(16 * MiB));
  assert.ok((await readBytes(archive)).diskBytes < 1 * MiB);
});

test("readArchive() refuses a map with more runs than the limit before the runs arrive", async () => {
  const descriptor = await describeHole(1 * MiB);
  const tooMany = buildArchive(descriptor, `${RUNS_MAX + 1}\n`);
  await assert.rejects(readBytes(tooMany), refusal(/more than 4194304 runs/));
  const cut = buildArchive(descriptor, `${RUNS_MAX}\n`);
  await assert.rejects(readBytes(cut), refusal(/its map/));
});

test("readArchive() reads a map with very many empty runs, which take no memory", async () => {
  const count = 500_000;
  const archive = buildArchive(await describeHole(1 * MiB), `${count}\n${"0\n0\n".repeat(count)}`);
  assert.equal((await readBytes(archive)).sizeBytes, 1 * MiB);
});

test("readArchive() refuses more data than the limit, before it is written", async () => {
  const runs = Array.from({ length: 4 }, (_, index) => `${index * 512 * KiB}\n${300 * KiB}\n`).join("");
  const archive = buildArchive(await describeHole(4 * MiB), `4\n${runs}`, new Uint8Array(1200 * KiB).fill(1));
  await assert.rejects(readBytes(archive, 1200 * KiB), refusal(/does not match its digest/)); // at the limit
  await assert.rejects(readBytes(archive, 1200 * KiB - 1), refusal(/more than 1228799 bytes of data/));
});

test("readArchive() refuses an extended header, and zeros behind the end, that are longer than the limit", async () => {
  const descriptor = await describeHole(1 * MiB);
  const map = `1\n${1 * MiB}\n0\n`;
  const header = buildArchive(descriptor, map, undefined, Buffer.concat([SPARSE, Buffer.alloc(32 * MiB)]));
  await assert.rejects(
    readBytes(zstdCompressSync(header)),
    refusal(/bytes that belong to no entry|Header exceeds max size/),
  );
  const padded = Buffer.concat([buildArchive(descriptor, map), Buffer.alloc(32 * MiB)]);
  await assert.rejects(readBytes(zstdCompressSync(padded)), refusal(/bytes that belong to no entry/));
});

for (const [what, map, problem] of [
  ["something other than numbers", "1\n0\nx\n", /something other than numbers/],
  ["an empty line", "1\n\n0\n", /something other than numbers/],
  ["a number of too many digits", "1\n0000000000000000\n0\n", /something other than numbers/],
  ["runs that overlap", "2\n0\n8192\n4096\n4096\n", /leads outside the disk/],
  ["a run behind the disk", `1\n${1 * MiB}\n1\n`, /leads outside the disk/],
  ["more runs than lines", "3\n0\n1\n", /its map/],
  ["data that is not there", "1\n0\n4096\n", /its data is cut short/],
] as const) {
  test(`readArchive() refuses a map with ${what}`, async () => {
    await assert.rejects(readBytes(buildArchive(await describeHole(1 * MiB), map)), refusal(problem));
  });
}

test("readArchive() refuses more data than its map says", async () => {
  const archive = buildArchive(await describeHole(1 * MiB), "1\n0\n512\n", new Uint8Array(1024));
  await assert.rejects(readBytes(archive), refusal(/more data than its map says/));
});
