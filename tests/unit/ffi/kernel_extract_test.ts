import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { extractKernel } from "../../../src/ffi/kernel_extract.ts";
import { findLibkrunfw } from "../../../src/ffi/library_search.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { libkrunMissing, runProgram } from "./real_library.ts";

const kernelTest = (name: string, body: (cacheDirectory: string) => Promise<void>) =>
  test(
    name,
    async () => {
      using directory = temporaryDirectory();
      await body(join(directory.path, "cache"));
    },
    { skip: libkrunMissing },
  );

const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** The index file, of which there must be one. */
function indexPath(cacheDirectory: string): string {
  const names = readdirSync(cacheDirectory).filter((name) => name.endsWith(".json"));
  assert.equal(names.length, 1);
  return join(cacheDirectory, names[0]!);
}

kernelTest("extractKernel() writes a kernel file and an index, and nothing else", async (cacheDirectory) => {
  const kernel = await extractKernel({ cacheDirectory });
  assert.equal(sha256(kernel.path), kernel.sha256);
  assert.equal(statSync(kernel.path).size, kernel.sizeBytes);
  assert.match(kernel.version ?? "", /^6\.\d+\.\d+/);
  assert.deepEqual(readdirSync(cacheDirectory).length, 2);
  if (process.arch !== "x64") return;
  const header = new DataView(readFileSync(kernel.path).buffer);
  assert.equal(header.getUint32(0), 0x7f454c46);
  assert.equal(header.getBigUint64(64 + 24, true), 0x100_0000n, "loaded at 16 MiB");
});

kernelTest("extractKernel() uses the cache without the library's content", async (cacheDirectory) => {
  const library = join(cacheDirectory, "..", "libkrunfw.so.5.0.0");
  copyFileSync(findLibkrunfw().path, library);
  const modified = new Date("2026-01-02T03:04:05Z");
  utimesSync(library, modified, modified);
  const first = await extractKernel({ cacheDirectory, libkrunfwPath: library });
  // No library any more, of the same size and time. A new file: the old one is mapped into this process.
  writeFileSync(`${library}.new`, Buffer.alloc(statSync(library).size));
  renameSync(`${library}.new`, library);
  utimesSync(library, modified, modified);
  assert.deepEqual(await extractKernel({ cacheDirectory, libkrunfwPath: library }), first);
  utimesSync(library, new Date(), new Date());
  const end = await runProgram(`
    import { extractKernel } from "ffi/kernel_extract.ts";
    await extractKernel(${JSON.stringify({ cacheDirectory, libkrunfwPath: library })}).catch((e) => console.log(e.code));
  `); // elsewhere, as the loader here still has the library under this name
  assert.equal(end.stdout, "libkrunfwNotFound\n", "another time of change is another library");
});

kernelTest("extractKernel() writes anew what is damaged or lost in the cache", async (cacheDirectory) => {
  const first = await extractKernel({ cacheDirectory });
  const kernelBytes = readFileSync(first.path);
  const index = indexPath(cacheDirectory);
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
    assert.deepEqual(await extractKernel({ cacheDirectory }), first, `${damage}`);
    assert.equal(sha256(first.path), first.sha256);
  }
});

kernelTest("extractKernel() leaves nothing behind when it cannot write", async (cacheDirectory) => {
  const { path } = await extractKernel({ cacheDirectory });
  const blocked = `${cacheDirectory}-blocked`;
  mkdirSync(join(blocked, path.slice(cacheDirectory.length + 1), "full"), { recursive: true });
  await assert.rejects(extractKernel({ cacheDirectory: blocked }), { code: "io", path: blocked });
  assert.equal(readdirSync(blocked).length, 1, "only what was there before");
  await assert.rejects(extractKernel({ cacheDirectory: join(path, "below-a-file") }), { code: "io" });
});

kernelTest("extractKernel() removes old temporary files and keeps young ones", async (cacheDirectory) => {
  mkdirSync(cacheDirectory);
  for (const [name, ageMs] of [
    ["kernel-old.elf.x.tmp", 2 * 3_600_000],
    ["kernel-young.elf.x.tmp", 0],
  ] as const) {
    writeFileSync(join(cacheDirectory, name), "");
    const time = new Date(Date.now() - ageMs);
    utimesSync(join(cacheDirectory, name), time, time);
  }
  await extractKernel({ cacheDirectory });
  const temporary = readdirSync(cacheDirectory).filter((name) => name.endsWith(".tmp"));
  assert.deepEqual(temporary, ["kernel-young.elf.x.tmp"]);
});

kernelTest("extractKernel() may run in many processes at once", async (cacheDirectory) => {
  const program = `
    import { extractKernel } from "ffi/kernel_extract.ts";
    import { createHash } from "node:crypto";
    import { readFileSync } from "node:fs";
    const cacheDirectory = ${JSON.stringify(cacheDirectory)};
    for (const kernel of await Promise.all([1, 2].map(() => extractKernel({ cacheDirectory })))) {
      const found = createHash("sha256").update(readFileSync(kernel.path)).digest("hex");
      console.log(found === kernel.sha256 ? found : "torn");
    }
  `;
  const ends = await Promise.all(Array.from({ length: 4 }, () => runProgram(program)));
  const { sha256: expected } = await extractKernel({ cacheDirectory });
  for (const end of ends) {
    assert.deepEqual(end, {
      exitCode: 0,
      signal: undefined,
      stdout: `${expected}\n${expected}\n`,
      stderr: "",
    });
  }
  assert.equal(readdirSync(cacheDirectory).length, 2);
});

test("extractKernel() names every place when there is no libkrunfw", async () => {
  using directory = temporaryDirectory();
  const libkrunfwPath = join(directory.path, "absent");
  await assert.rejects(extractKernel({ cacheDirectory: directory.path, libkrunfwPath }), {
    code: "libkrunfwNotFound",
    searched: [`libkrunfwPath: ${libkrunfwPath}`],
  });
  assert.deepEqual(readdirSync(directory.path), []);
});
