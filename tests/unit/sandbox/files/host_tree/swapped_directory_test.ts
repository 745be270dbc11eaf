/** A directory that another process swaps for a symbolic link, as fast as it can, while a tree is written or read. @module */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileCopyRefusedError } from "../../../../../src/sandbox/files/copy_errors.ts";
import { parseCopyToHost } from "../../../../../src/sandbox/files/copy_options.ts";
import { CopyTally } from "../../../../../src/sandbox/files/copy_result.ts";
import { walkHostTree } from "../../../../../src/sandbox/files/host_tree/tree_walk.ts";
import { TreeWriter } from "../../../../../src/sandbox/files/host_tree/tree_writer.ts";
import {
  bytesOf,
  directoryEntry,
  guestEntry,
  symlinkEntry,
} from "../../../../support/files/guest_entries.ts";
import { startSwapping } from "../../../../support/files/swapping_program.ts";
import { temporaryDirectory, test } from "../../../../support/harness.ts";

/** Tries until each of both outcomes was seen this often, */
const SEEN_MIN = 50;
/** but no more than this. */
const TRIES_MAX = Number(process.env["MSB_RACE_TRIES"] ?? 2000);

function makeRoom(directory: string) {
  const [target, outside] = [join(directory, "target"), join(directory, "outside")];
  mkdirSync(join(target, "sub"), { recursive: true });
  mkdirSync(outside);
  return { target, outside };
}

async function write(target: string): Promise<void> {
  using writer = new TreeWriter(target, parseCopyToHost({}), new CopyTally());
  writer.take(directoryEntry(""));
  writer.take(directoryEntry("sub"));
  writer.take(guestEntry("sub/file", { links: 2 }));
  await writer.write(bytesOf("content"));
  writer.take(guestEntry("sub/second name", { links: 2 }));
  writer.take(symlinkEntry("sub/link", "file"));
  writer.take(directoryEntry("sub/inner", { mode: 0o700 }));
  writer.take(guestEntry("sub/inner/file"));
  writer.finish();
}

test("TreeWriter never writes through a link that takes a directory's place", async () => {
  using directory = temporaryDirectory();
  const { target, outside } = makeRoom(directory.path);
  await using _ = await startSwapping(join(target, "sub"), outside);
  const seen = { written: 0, refused: 0, gone: 0 };
  for (let tries = 0; Math.min(seen.written, seen.refused) < SEEN_MIN && tries < TRIES_MAX; tries++) {
    try {
      await write(target);
      seen.written++;
    } catch (error) {
      if (error instanceof FileCopyRefusedError) seen.refused++;
      else seen.gone++; // the directory was removed or moved between two steps
    }
    assert.deepEqual(readdirSync(outside), []);
  }
  assert(seen.written > 0 && seen.refused > 0, JSON.stringify(seen));
});

test("walkHostTree() never reads through a link that takes a directory's place", async () => {
  using directory = temporaryDirectory();
  const { target, outside } = makeRoom(directory.path);
  writeFileSync(join(outside, "file"), "secret");
  writeFileSync(join(target, "sub/file"), "public");
  await using _ = await startSwapping(join(target, "sub"), outside);
  const seen = { directory: 0, link: 0 };
  for (let tries = 0; Math.min(seen.directory, seen.link) < SEEN_MIN && tries < TRIES_MAX; tries++) {
    for (const entry of walkHostTree(target, { followLinks: false })) {
      if (entry.kind === "symlink" && String(entry.path) === "sub") seen.link++;
      if (entry.kind !== "file") continue;
      const content = Buffer.alloc(16);
      const size = readSync(entry.descriptor, content, 0, content.length, 0);
      assert.equal(content.subarray(0, size).toString(), "public");
      seen.directory++;
    }
  }
  assert(seen.directory > 0 && seen.link > 0, JSON.stringify(seen));
  assert.equal(readFileSync(join(outside, "file"), "utf8"), "secret");
});
