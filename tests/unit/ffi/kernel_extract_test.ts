import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { extractKernel } from "../../../src/ffi/kernel_extract.ts";
import { findLibkrunfw } from "../../../src/ffi/library_search.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { libkrunMissing, runProgram } from "./real_library.ts";

const kernelTest = (name: string, body: (home: string) => Promise<void>) =>
  test(
    name,
    async () => {
      using directory = temporaryDirectory();
      await body(directory.path);
    },
    { skip: libkrunMissing },
  );

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** The index file, of which there must be one. */
function indexPath(home: string): string {
  const { kernels } = homePaths(home);
  const names = readdirSync(kernels).filter((name) => name.endsWith(".json"));
  assert.equal(names.length, 1);
  return join(kernels, names[0]!);
}

kernelTest("extractKernel() writes a kernel file and an index, and nothing else", async (home) => {
  const kernel = await extractKernel({ home });
  assert.equal(sha256(kernel.path), kernel.sha256);
  assert.equal(statSync(kernel.path).size, kernel.sizeBytes);
  assert.match(kernel.version ?? "", /^6\.\d+\.\d+/);
  assert.deepEqual(readdirSync(homePaths(home).kernels).length, 2);
  if (process.arch !== "x64") return;
  const header = new DataView(readFileSync(kernel.path).buffer);
  assert.equal(header.getUint32(0), 0x7f454c46);
  assert.equal(header.getBigUint64(64 + 24, true), 0x100_0000n, "loaded at 16 MiB");
});

kernelTest("extractKernel() uses the cache without the library's content", async (home) => {
  const library = join(home, "libkrunfw.so.5.0.0");
  copyFileSync(findLibkrunfw().path, library);
  const modified = new Date("2026-01-02T03:04:05Z");
  utimesSync(library, modified, modified);
  const first = await extractKernel({ home, libkrunfwPath: library });
  // No library any more, of the same size and time. A new file: the old one is mapped into this process.
  writeFileSync(`${library}.new`, Buffer.alloc(statSync(library).size));
  renameSync(`${library}.new`, library);
  utimesSync(library, modified, modified);
  assert.deepEqual(await extractKernel({ home, libkrunfwPath: library }), first);
  utimesSync(library, new Date(), new Date());
  const end = await runProgram(`
    import { extractKernel } from "ffi/kernel_extract.ts";
    await extractKernel(${JSON.stringify({ home, libkrunfwPath: library })}).catch((e) => console.log(e.code));
  `); // elsewhere, as the loader here still has the library under this name
  assert.equal(end.stdout, "libkrunfwNotFound\n", "another time of change is another library");
});

kernelTest("extractKernel() writes anew what is damaged or lost in the cache", async (home) => {
  const first = await extractKernel({ home });
  const kernelBytes = readFileSync(first.path);
  const index = indexPath(home);
  const damages = [
    () => writeFileSync(first.path, kernelBytes.subarray(0, 1000)),
    () => writeFileSync(first.path, kernelBytes.with(kernelBytes.length - 1, 0x55)),
    () => writeFileSync(index, "{"),
    () => writeFileSync(index, "null"),
    () => writeFileSync(index, JSON.stringify({ sha256: "../../etc/passwd", sizeBytes: 1 })),
    () => writeFileSync(index, JSON.stringify({ sha256: "0".repeat(64), sizeBytes: 1 })),
    () => writeFileSync(index, JSON.stringify({ sha256: "0".repeat(64), sizeBytes: 1, modifiedNs: "1" })),
  ];
  for (const damage of damages) {
    damage();
    assert.deepEqual(await extractKernel({ home }), first, `${damage}`);
    assert.equal(sha256(first.path), first.sha256);
  }
});

kernelTest("extractKernel() leaves nothing behind when it cannot write", async (home) => {
  const { path } = await extractKernel({ home });
  const blocked = join(home, "blocked");
  const { kernels, trash } = homePaths(blocked);
  mkdirSync(join(kernels, basename(path), "full"), { recursive: true });
  await assert.rejects(extractKernel({ home: blocked }), { code: "io" });
  assert.deepEqual(readdirSync(kernels), [basename(path)], "only what was there before");
  assert.ok(!existsSync(trash) || readdirSync(trash).length === 0);
  await assert.rejects(extractKernel({ home: join(path, "below-a-file") }), { code: "io" });
});

kernelTest("extractKernel() may run in many processes at once", async (home) => {
  const program = `
    import { extractKernel } from "ffi/kernel_extract.ts";
    import { createHash } from "node:crypto";
    import { readFileSync } from "node:fs";
    const home = ${JSON.stringify(home)};
    for (const kernel of await Promise.all([1, 2].map(() => extractKernel({ home })))) {
      const found = createHash("sha256").update(readFileSync(kernel.path)).digest("hex");
      console.log(found === kernel.sha256 ? found : "torn");
    }
  `;
  const ends = await Promise.all(Array.from({ length: 4 }, () => runProgram(program)));
  const { sha256: expected } = await extractKernel({ home });
  for (const end of ends) {
    assert.deepEqual(end, {
      exitCode: 0,
      signal: undefined,
      stdout: `${expected}\n${expected}\n`,
      stderr: "",
    });
  }
  assert.equal(readdirSync(homePaths(home).kernels).length, 2);
});

test("extractKernel() names every place when there is no libkrunfw", async () => {
  using directory = temporaryDirectory();
  const libkrunfwPath = join(directory.path, "absent");
  await assert.rejects(extractKernel({ home: directory.path, libkrunfwPath }), {
    code: "libkrunfwNotFound",
    searched: [`libkrunfwPath: ${libkrunfwPath}`],
  });
  assert.deepEqual(readdirSync(directory.path), []);
});
