import assert from "node:assert/strict";
import { buildPvhElf, PVH_IMAGE_OFFSET } from "../../../src/ffi/pvh_elf.ts";
import { test } from "../../support/harness.ts";

const LOAD_ADDRESS = 0x100_0000n;

/** An image of 64 KiB with a PVH note at each offset. */
function imageWithNotes(...notes: { offset: number; entry: bigint; type?: number }[]): Uint8Array {
  const image = new Uint8Array(64 * 1024).map((_, index) => (index * 7) % 256);
  const view = new DataView(image.buffer);
  for (const { offset, entry, type = 18 } of notes) {
    view.setUint32(offset, 4, true);
    view.setUint32(offset + 4, 8, true);
    view.setUint32(offset + 8, type, true);
    image.set([0x58, 0x65, 0x6e, 0], offset + 12);
    view.setBigUint64(offset + 16, entry, true);
  }
  return image;
}

const build = (image: Uint8Array) =>
  buildPvhElf({ image, loadAddress: LOAD_ADDRESS, entryAddress: LOAD_ADDRESS + 0x123n });

test("buildPvhElf() makes an ELF file with the image and its note as segments", () => {
  const image = imageWithNotes({ offset: 0x1004, entry: LOAD_ADDRESS + 0x200n });
  const file = build(image);
  const view = new DataView(file.buffer);
  assert.deepEqual([...file.subarray(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  assert.equal(view.getUint16(18, true), 62, "EM_X86_64");
  assert.equal(view.getBigUint64(24, true), LOAD_ADDRESS + 0x123n);
  const segment = (index: number) => {
    const start = 64 + index * 56;
    const u64 = (offset: number) => view.getBigUint64(start + offset, true);
    return {
      type: view.getUint32(start, true),
      offset: u64(8),
      physical: u64(24),
      sizeBytes: u64(32),
      align: u64(48),
    };
  };
  const imageBytes = BigInt(image.length);
  assert.deepEqual(segment(0), {
    type: 1,
    offset: 4096n,
    physical: LOAD_ADDRESS,
    sizeBytes: imageBytes,
    align: 4096n,
  });
  assert.deepEqual(segment(1), {
    type: 4,
    offset: 0x2004n,
    physical: LOAD_ADDRESS + 0x1004n,
    sizeBytes: 24n,
    align: 4n,
  });
  assert.deepEqual(file.subarray(PVH_IMAGE_OFFSET), image);
});

test("buildPvhElf() passes over notes that cannot be the kernel's", () => {
  const good = { offset: 0x5000, entry: LOAD_ADDRESS };
  const image = imageWithNotes(
    { offset: 0x1001, entry: LOAD_ADDRESS }, // not aligned
    { offset: 0x2000, entry: LOAD_ADDRESS - 1n },
    { offset: 0x3000, entry: LOAD_ADDRESS + 0x1_0000n },
    { offset: 0x4000, entry: LOAD_ADDRESS, type: 17 },
    good,
  );
  const noteOffset = new DataView(build(image).buffer).getBigUint64(64 + 56 + 8, true);
  assert.equal(noteOffset, BigInt(PVH_IMAGE_OFFSET + good.offset));
});

test("buildPvhElf() refuses an image without a note, or with one that is cut off", () => {
  assert.throws(() => build(imageWithNotes()), { code: "kernelInvalid" });
  const image = imageWithNotes({ offset: 0x1000, entry: LOAD_ADDRESS });
  assert.throws(() => build(image.subarray(0, 0x1000 + 23)), { code: "kernelInvalid" });
  build(image.subarray(0, 0x1000 + 24));
});
