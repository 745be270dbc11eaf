import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  appendFileSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import {
  type ContentPart,
  mayHaveHoles,
  readContent,
  readWhole,
  splitHoles,
} from "../../../../../src/sandbox/files/host_tree/file_content.ts";
import { temporaryDirectory, test } from "../../../../support/harness.ts";
import { seededRandom } from "../../../../support/random.ts";

/** An open file of this content. */
function openFile(content: Uint8Array | string) {
  const directory = temporaryDirectory();
  const path = join(directory.path, "file");
  writeFileSync(path, content);
  const descriptor = openSync(path, "r+");
  return {
    path,
    descriptor,
    [Symbol.dispose]() {
      closeSync(descriptor);
      directory[Symbol.dispose]();
    },
  };
}

function shown(part: ContentPart): string | number {
  return part.kind === "hole" ? part.sizeBytes : part.data.toString("latin1");
}

/** The content that parts stand for. */
function joined(parts: readonly ContentPart[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (part.kind === "hole" ? Buffer.alloc(part.sizeBytes) : part.data)),
  );
}

test("readWhole() gives a file that fits, and nothing of one that does not", () => {
  using file = openFile("12345678");
  assert.equal(readWhole(file.descriptor, Buffer.alloc(9), 8)?.toString(), "12345678");
  assert.equal(readWhole(file.descriptor, Buffer.alloc(8), 8)?.toString(), "12345678");
  assert.equal(readWhole(file.descriptor, Buffer.alloc(7), 8), undefined);
  using empty = openFile("");
  assert.equal(readWhole(empty.descriptor, Buffer.alloc(7), 0)?.length, 0);
});

test("readWhole() reads as far as the size was, or the file is by now", () => {
  using file = openFile("12345678");
  assert.equal(readWhole(file.descriptor, Buffer.alloc(9), 5)?.toString(), "12345");
  assert.equal(readWhole(file.descriptor, Buffer.alloc(20), 10)?.toString(), "12345678");
});

test("readWhole() reads a file without a size to its end", () => {
  const descriptor = openSync("/proc/self/status", "r");
  assert.match(readWhole(descriptor, Buffer.alloc(64 * 1024), 0)?.toString() ?? "", /^Name:/);
  assert.equal(readWhole(descriptor, Buffer.alloc(10), 0), undefined);
  closeSync(descriptor);
});

test("readContent() reads in parts, to the end that the file had", async () => {
  using file = openFile(`${"a".repeat(4096) + "b".repeat(4096)}c`);
  const parts: (string | number)[] = [];
  for await (const part of readContent(file.descriptor, 4096, 8193, false)) {
    parts.push(shown(part));
    appendFileSync(file.path, "d".repeat(4096));
  }
  assert.deepEqual(parts, ["a".repeat(4096), "b".repeat(4096), "c"]);
});

test("readContent() ends early in a file that becomes shorter", async () => {
  using file = openFile("a".repeat(3 * 4096));
  let size = 0;
  for await (const part of readContent(file.descriptor, 4096, 3 * 4096, false)) {
    if (part.kind === "data") size += part.data.length;
    truncateSync(file.path, 4096);
  }
  assert(size >= 4096 && size <= 2 * 4096, String(size)); // the next part may have been read already
});

test("readContent() leaves nothing reading when it is given up", async () => {
  using file = openFile("a".repeat(3 * 4096));
  for await (const _ of readContent(file.descriptor, 4096, 3 * 4096, false)) break;
});

test("readContent() rejects with the error of a read", async () => {
  const descriptor = openSync("/", "r");
  await assert.rejects(async () => {
    for await (const _ of readContent(descriptor, 4096, 4096, false));
  }, /EISDIR/);
  closeSync(descriptor);
});

test("readContent() finds holes, and mayHaveHoles() that there are some", async () => {
  using file = openFile("");
  ftruncateSync(file.descriptor, 1 << 20);
  writeSync(file.descriptor, Buffer.from("data"), 0, 4, 1 << 19);
  assert(mayHaveHoles(fstatSync(file.descriptor, { bigint: true })));
  const parts: (string | number)[] = [];
  for await (const part of readContent(file.descriptor, 1 << 20, 1 << 20, true)) parts.push(shown(part));
  assert.deepEqual(parts, [1 << 19, `data${"\0".repeat(4092)}`, (1 << 19) - 4096]);
  using full = openFile("a".repeat(10_000));
  assert(!mayHaveHoles(fstatSync(full.descriptor, { bigint: true })));
});

test("splitHoles() changes no byte of any content", () => {
  const random = seededRandom("splitHoles");
  for (let round = 0; round < 200; round++) {
    const blocks = Array.from({ length: random.integer(0, 6) }, () => {
      const size = random.pick([1, 100, 4095, 4096, 4097]);
      return random.integer(0, 1) === 0 ? Buffer.alloc(size) : Buffer.from(random.bytes(size));
    });
    const content = Buffer.concat(blocks);
    const parts = [...splitHoles(content)];
    assert.deepEqual(joined(parts), content);
    assert(parts.every((part) => part.kind === "hole" || part.data.length > 0));
    assert(parts.every((part, index) => part.kind !== parts[index + 1]?.kind));
  }
});
