import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { NotRegularError, openRegular, openRegularSync } from "../../../src/platform/regular_file.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const { O_RDONLY, O_RDWR } = constants;

/** What both ways of opening say of a path. */
async function openings(path: string, flags = O_RDONLY): Promise<unknown[]> {
  const results: unknown[] = [];
  for (const open of [openRegularSync, openRegular]) {
    try {
      const descriptor = await open(path, flags);
      const bytes = new Uint8Array(16);
      results.push(new TextDecoder().decode(bytes.subarray(0, readSync(descriptor, bytes))));
      closeSync(descriptor);
    } catch (error) {
      results.push(error instanceof NotRegularError ? error.message : (error as { code?: string }).code);
    }
  }
  return results;
}

/** Files below `directory` that this process has open; other tests of the process have theirs. */
function openBelow(directory: string): string[] {
  return readdirSync("/proc/self/fd")
    .map((descriptor) => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`);
      } catch {
        return ""; // closed since it was listed
      }
    })
    .filter((target) => target.startsWith(directory));
}

test("openRegular() opens a file, and says that there is none", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "file");
  assert.deepEqual(await openings(path), ["ENOENT", "ENOENT"]);
  writeFileSync(path, "content");
  assert.deepEqual(await openings(path), ["content", "content"]);
});

test("openRegular() refuses a link, a FIFO and a directory at once, and keeps nothing open", async () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("file"), "content");
  symlinkSync(at("file"), at("link"));
  mkdirSync(at("directory"));
  execFileSync("mkfifo", [at("fifo")]);
  assert.deepEqual(await openings(at("link")), ["ELOOP", "ELOOP"]);
  for (const flags of [O_RDONLY, O_RDWR]) {
    const refusal = `${at("fifo")} is not a regular file`;
    assert.deepEqual(await openings(at("fifo"), flags), [refusal, refusal]);
  }
  const refusal = `${at("directory")} is not a regular file`;
  assert.deepEqual(await openings(at("directory")), [refusal, refusal]);
  await new Promise((resolve) => setTimeout(resolve, 20)); // closing is not waited for
  assert.deepEqual(openBelow(directory.path), []);
});
