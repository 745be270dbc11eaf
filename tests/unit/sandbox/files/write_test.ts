import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import type { FsContent } from "../../../../mod.ts";
import { FILE_DATA_BYTES_MAX } from "../../../../src/agent/file_messages.ts";
import { fileTest, sessionPids } from "../../../support/guest/native_files.ts";
import { eventually } from "../../../support/processes.ts";

const MiB = 1024 * 1024;

function pattern(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31) ^ (index >>> 8));
}

async function* pieces(...parts: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* parts;
}

function streamOfParts(...parts: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

fileTest("SandboxFsOps.write() writes all that can be content, small and large", async ({ fs, at }) => {
  for (const size of [0, 1, 5000, FILE_DATA_BYTES_MAX, FILE_DATA_BYTES_MAX + 1, 3 * MiB + 1]) {
    const bytes = pattern(size);
    const ascii = "x".repeat(size);
    const contents: readonly [FsContent, Uint8Array | string][] = [
      [bytes, bytes],
      [bytes.buffer, bytes],
      [ascii, ascii],
      [new Blob([bytes]), bytes],
      [streamOfParts(bytes.subarray(0, 3), new Uint8Array(0), bytes.subarray(3)), bytes],
      [pieces(bytes, "end"), Buffer.concat([bytes, Buffer.from("end")])],
    ];
    for (const [content, expected] of contents) {
      await fs.write(at("file"), content);
      assert.ok(readFileSync(at("file")).equals(Buffer.from(expected)), `${size} bytes of another kind`);
    }
  }
  await fs.write(at("text"), "grüße 🎉");
  assert.equal(readFileSync(at("text"), "utf8"), "grüße 🎉");
});

fileTest(
  "SandboxFsOps.write() makes the directories above a file, unless it must not",
  async ({ fs, at }) => {
    await fs.write(at("a/b/c/file"), "1");
    assert.equal(readFileSync(at("a/b/c/file"), "utf8"), "1");
    await assert.rejects(fs.write(at("x/file"), "1", { createParents: false }), { code: "fileNotFound" });
    writeFileSync(at("file"), "");
    await assert.rejects(fs.write(at("file/below"), "1"), { code: "notADirectory" });
  },
);

fileTest("SandboxFsOps.write() replaces, appends, or writes in the middle", async ({ fs, at }) => {
  const read = () => readFileSync(at("file"), "utf8");
  await fs.write(at("file"), "a long first content");
  await fs.write(at("file"), "short");
  assert.equal(read(), "short");
  await fs.write(at("file"), " and more", { append: true });
  assert.equal(read(), "short and more");
  await fs.write(at("file"), "AND", { offset: 6 });
  assert.equal(read(), "short AND more");
  await fs.write(at("file"), "!", { offset: 20 });
  assert.equal(read(), "short AND more\0\0\0\0\0\0!");
  const large = "y".repeat(2 * MiB);
  await fs.write(at("file"), large, { append: true });
  await fs.write(at("file"), large, { offset: 0 });
  assert.ok(read() === `${large}${"y".repeat(21)}`);
});

fileTest("SandboxFsOps.write() makes a file, or needs one, as it is asked to", async ({ fs, at }) => {
  await assert.rejects(fs.write(at("file"), "1", { create: false }), { code: "fileNotFound" });
  await fs.write(at("file"), "1", { exclusive: true });
  await assert.rejects(fs.write(at("file"), "2", { exclusive: true }), { code: "fileExists" });
  await assert.rejects(fs.write(at("file"), "2", { exclusive: true, atomic: true }), { code: "fileExists" });
  await fs.write(at("file"), "3", { create: false });
  assert.equal(readFileSync(at("file"), "utf8"), "3");
});

fileTest(
  "SandboxFsOps.write() sets the mode exactly, and leaves that of a file without one",
  async ({ fs, at }) => {
    const modeOf = (name: string) => statSync(at(name)).mode & 0o7777;
    const umask = process.umask();
    await fs.write(at("new"), "");
    assert.equal(modeOf("new"), 0o666 & ~umask);
    for (const mode of [0o600, 0o755, 0o777, 0o4711]) {
      await fs.write(at("file"), "x", { mode });
      assert.equal(modeOf("file"), mode);
      await fs.write(at("large"), pattern(MiB), { mode });
      assert.equal(modeOf("large"), mode);
    }
    chmodSync(at("file"), 0o640);
    await fs.write(at("file"), "y");
    assert.equal(modeOf("file"), 0o640);
    await fs.write(at("file"), "y", { atomic: true });
    assert.equal(modeOf("file"), 0o640, "a new file in its place has its mode");
  },
);

fileTest(
  "SandboxFsOps.write() with atomic replaces what a link leads to, and leaves nothing beside it",
  async (files) => {
    const { fs, at } = files;
    mkdirSync(at("data"));
    writeFileSync(at("data/file"), "old");
    symlinkSync("data/file", at("link"));
    const reader = openSync(at("data/file"), "r");
    for (const content of ["new", pattern(MiB)]) {
      await fs.write(at("link"), content, { atomic: true, sync: true });
      assert.ok(readFileSync(at("data/file")).equals(Buffer.from(content)));
    }
    assert.equal(readlinkSync(at("link")), "data/file");
    assert.equal(readFileSync(reader, "utf8"), "old", "it was changed under its reader");
    closeSync(reader);
    assert.deepEqual(readdirSync(at("data")), ["file"]);
  },
);

for (const atomic of [false, true]) {
  fileTest(
    `SandboxFsOps.write() of a stream that fails rejects with its error (atomic: ${atomic})`,
    async (files) => {
      const { fs, at, host } = files;
      mkdirSync(at("data"));
      writeFileSync(at("data/file"), "old");
      const source = async function* () {
        yield pattern(MiB);
        throw new Error("the source is broken");
      };
      await assert.rejects(fs.write(at("data/file"), source(), { atomic }), {
        message: "the source is broken",
      });
      await eventually(() => assert.deepEqual(readdirSync(at("data")), ["file"]));
      if (atomic) assert.equal(readFileSync(at("data/file"), "utf8"), "old");
      await eventually(() => assert.deepEqual(sessionPids(host), []));
    },
  );

  fileTest(
    `SandboxFsOps.write() that is aborted stops, and cancels its source (atomic: ${atomic})`,
    async (files) => {
      const { fs, at, host } = files;
      mkdirSync(at("data"));
      writeFileSync(at("data/file"), "old");
      const abort = new AbortController();
      let isCancelled = false;
      let pulls = 0;
      const source = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (++pulls === 10) abort.abort("enough");
          controller.enqueue(pattern(100_000));
        },
        cancel() {
          isCancelled = true;
        },
      });
      const write = fs.write(at("data/file"), source, { atomic, signal: abort.signal });
      await assert.rejects(write, { code: "aborted", cause: "enough" });
      await eventually(() => assert.ok(isCancelled, "the source is still read"));
      await eventually(() => assert.deepEqual(readdirSync(at("data")), ["file"]));
      if (atomic) assert.equal(readFileSync(at("data/file"), "utf8"), "old");
      await eventually(() => assert.deepEqual(sessionPids(host), []));
    },
  );
}

fileTest(
  "SandboxFsOps.write() to a full disk rejects, small and large, and stops taking the source",
  async ({ fs }) => {
    await assert.rejects(fs.write("/dev/full", "x"), { name: "NoSpaceError", hint: /diskMiB/ });
    let pieceCount = 0;
    const endless = async function* () {
      for (;;) {
        pieceCount++;
        yield pattern(100_000);
      }
    };
    await assert.rejects(fs.write("/dev/full", endless()), { name: "NoSpaceError" });
    assert.ok(pieceCount < 100, `${pieceCount} pieces were taken`);
  },
);

fileTest("SandboxFsOps.write() writes into a FIFO in a session of its own", async ({ fs, at }) => {
  execFileSync("mkfifo", [at("fifo")]);
  const write = fs.write(at("fifo"), "through the FIFO");
  assert.equal(await fs.exists(at("fifo")), true);
  assert.equal(await readFile(at("fifo"), "utf8"), "through the FIFO");
  await write;
});

fileTest("SandboxFsOps.write() refuses pieces that are no content", async ({ fs, at }) => {
  const wrong = async function* () {
    yield 42 as never;
  };
  await assert.rejects(fs.write(at("file"), wrong()), { code: "invalidConfig", message: /got number/ });
  const numbers = [1, 2] as never;
  await assert.rejects(fs.write(at("file"), numbers), { code: "invalidConfig" });
});

fileTest("SandboxFsOps.truncate() cuts a file, and fills it with zeros", async ({ fs, at }) => {
  writeFileSync(at("file"), "0123456789");
  await fs.truncate(at("file"), 4);
  assert.equal(readFileSync(at("file"), "utf8"), "0123");
  await fs.truncate(at("file"), 6);
  assert.equal(readFileSync(at("file"), "utf8"), "0123\0\0");
  await fs.truncate(at("file"));
  assert.equal(lstatSync(at("file")).size, 0);
  await assert.rejects(fs.truncate(at("none"), 1), { code: "fileNotFound" });
  await assert.rejects(fs.truncate(at("file"), -1), { code: "invalidConfig" });
});

fileTest(
  "SandboxFsOps.write() writes files of the kernel that have to be written where they stand",
  async ({ fs }) => {
    await fs.write("/proc/self/comm", "written"); // of the process that both calls share
    assert.equal(await fs.readToString("/proc/self/comm"), "written\n");
  },
);
