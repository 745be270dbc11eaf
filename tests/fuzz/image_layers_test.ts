/**
 * Damaged and hostile layers: each ends in an image that can be read, or in a typed error, and in nothing else.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MicrosandboxError } from "../../src/base/errors.ts";
import { ErofsWriter } from "../../src/image/erofs/writer.ts";
import { LayerMerger } from "../../src/image/oci/layer_merger.ts";
import { decompressDetected } from "../../src/image/stream/compression.ts";
import { temporaryDirectory, test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { buildLongName, buildMember, END_MARK, type TarBuilderMember } from "../unit/image/tar/builder.ts";
import { showImage } from "../unit/image/trees.ts";

const ROUNDS = 700;
const NAMES = [
  "a",
  "a/b",
  "a/b/c",
  ".wh.a",
  "a/.wh.b",
  "a/.wh..wh..opq",
  ".wh..wh..opq",
  ".wh.",
  "a/.wh..",
  "l",
  "l/x",
];
const HOSTILE = [
  "../x",
  "/etc/passwd",
  "a/../../x",
  "",
  ".",
  "./",
  "a//b",
  "a/./b",
  "\0",
  "é",
  "x".repeat(99),
  "a/b/",
];
const TYPES = ["0", "1", "2", "3", "4", "5", "6", "7", "\0", "S", "x", "g", "L", "K", "V", "Z"];

/** A member that is right in itself, though it need not fit what is there. */
function mildMember(random: SeededRandom): Buffer {
  const type = random.pick(["0", "0", "5", "5", "2", "6"]);
  const name = random.pick(["a", "a/b", "c", "c/d", ".wh.a", "a/.wh.b", "a/.wh..wh..opq", "é"]);
  const data = type === "0" ? random.bytes(random.integer(0, 5000)) : new Uint8Array();
  return buildMember({ name, type, data, linkName: random.pick(NAMES), mode: random.integer(0, 0o7777) });
}

function randomMember(random: SeededRandom): Buffer {
  const names = random.integer(0, 3) === 0 ? HOSTILE : NAMES;
  const member: TarBuilderMember = {
    name: random.pick(names),
    type: random.integer(0, 2) === 0 ? random.pick(TYPES) : random.pick(["0", "5", "2", "1"]),
    linkName: random.pick([...NAMES, ...HOSTILE, "l", "."]),
    data: random.bytes(random.integer(0, 3) === 0 ? random.integer(0, 5000) : 0),
    mode: random.integer(0, 0o17777),
    uid: random.pick([0, 1000, 2 ** 32 - 1, 2 ** 32, -1]),
    major: random.integer(0, 5000),
  };
  if (random.integer(0, 9) === 0) member.size = random.pick([0, 1, 511, 513, 2 ** 33, 2 ** 53, -1]);
  if (random.integer(0, 6) === 0) {
    const keys = [
      "path",
      "size",
      "uid",
      "mtime",
      "linkpath",
      "SCHILY.xattr.user.x",
      "GNU.sparse.map",
      "GNU.sparse.major",
    ];
    const values = ["a/b", "../..", "9".repeat(30), "-1", "1.5", "", "0,1,2", "1\0x", "\n", "99999999"];
    member.pax = [[random.pick(keys), random.pick(values)]];
  }
  const built = buildMember(member);
  if (random.integer(0, 12) === 0) return Buffer.concat([buildLongName("L", random.pick(HOSTILE)), built]);
  return built;
}

/** A layer that is wrong in what it says, in its bytes, in its compression, or not at all. */
function randomLayer(random: SeededRandom): Uint8Array {
  const isMild = random.integer(0, 1) === 0;
  const member = isMild ? mildMember : randomMember;
  const members = Array.from({ length: random.integer(0, isMild ? 6 : 12) }, () => member(random));
  const parts = random.integer(0, 5) === 0 ? members : [...members, END_MARK];
  const packed = random.pick([(tar: Buffer) => tar, gzipSync, zstdCompressSync])(Buffer.concat(parts));
  const bytes = new Uint8Array(packed);
  for (let flips = isMild ? 0 : random.pick([0, 0, 1, 3, 20]); flips > 0 && bytes.length > 0; flips--) {
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
  }
  return !isMild && random.integer(0, 4) === 0 ? bytes.subarray(0, random.integer(0, bytes.length)) : bytes;
}

async function* inChunks(bytes: Uint8Array, random: SeededRandom): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const size = random.pick([1, 511, 512, 1000, bytes.length]);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test(
  "LayerMerger ends every damaged or hostile layer with an image or a typed error",
  async () => {
    const random = seededRandom("image layers");
    using home = temporaryDirectory();
    const inside = join(home.path, "inside");
    mkdirSync(inside);
    const outcomes = { image: 0, error: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      const layers = Array.from({ length: random.integer(1, 3) }, () => randomLayer(random));
      const path = join(inside, "image");
      try {
        using writer = new ErofsWriter(path);
        const merger = new LayerMerger(writer);
        for (const layer of layers)
          await merger.apply(decompressDetected(inChunks(layer, random)), undefined);
        await writer.finish(merger.root);
        showImage(path);
        outcomes.image++;
      } catch (error) {
        if (!MicrosandboxError.is(error) || error.code === "internal") {
          const saved = join(tmpdir(), `fuzz-${random.seed}-${round}`);
          for (const [index, layer] of layers.entries()) writeFileSync(`${saved}-${index}`, layer);
          throw new Error(`round ${round}, layers kept in ${saved}-*`, { cause: error });
        }
        outcomes.error++;
      }
      assert.ok(
        readdirSync(inside).every((name) => name === "image"),
        "no unfinished file is left",
      );
      assert.deepEqual(readdirSync(home.path), ["inside"]);
    }
    assert.ok(outcomes.image > ROUNDS / 50 && outcomes.error > ROUNDS / 4, JSON.stringify(outcomes));
  },
  { timeoutMs: 180_000 },
);
