import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileTest, sessionPids } from "../../../support/guest/native_files.ts";
import { eventually } from "../../../support/processes.ts";

const MiB = 1024 * 1024;

function sha256(...parts: Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Bytes that a process has read from files so far, or written. */
function transferred(pid: number, field: "rchar" | "wchar"): number {
  return Number(new RegExp(`^${field}: (\\d+)$`, "m").exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

fileTest(
  "FsReadStream gives a file by recv(), by collect(), by a loop and by pipeTo()",
  async ({ fs, at, host }) => {
    const content = randomBytes(3 * MiB + 5);
    writeFileSync(at("file"), content);
    const received: Uint8Array[] = [];
    const stream = await fs.readStream(at("file"));
    assert.equal(stream.metadata.size, content.length);
    for (let chunk = await stream.recv(); chunk !== null; chunk = await stream.recv()) received.push(chunk);
    assert.equal(await stream.recv(), null);
    assert.equal(sha256(...received), sha256(content));
    assert.equal(sha256(await (await fs.readStream(at("file"))).collect()), sha256(content));
    const looped: Uint8Array[] = [];
    for await (const chunk of await fs.readStream(at("file"), { offset: 5, length: MiB })) looped.push(chunk);
    assert.equal(sha256(...looped), sha256(content.subarray(5, 5 + MiB)));
    await (await fs.readStream(at("file"))).pipeTo(await fs.writeStream(at("copy")));
    assert.equal(sha256(readFileSync(at("copy"))), sha256(content));
    const mixed = await fs.readStream(at("file"));
    const first = await mixed.recv();
    assert.equal(sha256(first!, await mixed.collect()), sha256(content));
    await eventually(() => assert.deepEqual(sessionPids(host), []));
  },
);

fileTest("FsReadStream leaves on the disk what is not read", async ({ fs, at, host }) => {
  execFileSync("truncate", ["-s", "64M", at("file")]);
  const stream = await fs.readStream(at("file"));
  const [pid] = sessionPids(host);
  const first = await stream.recv();
  assert.equal(await fs.exists(at("file")), true); // other calls go on
  const read = transferred(pid!, "rchar");
  assert.ok(read < 4 * MiB, `${read} bytes were read ahead`);
  assert.equal((first?.length ?? 0) + (await stream.collect()).length, 64 * MiB);
});

fileTest(
  "FsReadStream ends its reader in the guest when it is left, cancelled, aborted or disposed of",
  async (files) => {
    const { fs, at, host } = files;
    execFileSync("truncate", ["-s", "64M", at("file")]);
    const noneLeft = () => eventually(() => assert.deepEqual(sessionPids(host), []));
    for await (const _ of await fs.readStream(at("file"))) break;
    await noneLeft();
    await (await fs.readStream(at("file"))).cancel();
    await noneLeft();
    {
      await using stream = await fs.readStream(at("file"));
      await stream.recv();
    }
    await noneLeft();
    const abort = new AbortController();
    const stream = await fs.readStream(at("file"), { signal: abort.signal });
    await stream.recv();
    abort.abort("enough");
    await assert.rejects(stream.collect(), { code: "aborted", cause: "enough" });
    await noneLeft();
    await assert.rejects((await fs.readStream(at("file"))).collect(MiB), { code: "fileLimit", limit: MiB });
    await noneLeft();
  },
);

fileTest("SandboxFsOps.readStream() rejects before there is a stream", async ({ fs, at, host }) => {
  await assert.rejects(fs.readStream(at("none")), { code: "fileNotFound", operation: "readStream" });
  await assert.rejects(fs.readStream(at("")), { code: "isADirectory" });
  await assert.rejects(fs.writeStream(at("")), { code: "isADirectory", operation: "writeStream" });
  await assert.rejects(fs.readStream(at("none"), { signal: AbortSignal.abort() }), { code: "aborted" });
  await eventually(() => assert.deepEqual(sessionPids(host), []));
});

fileTest("FsReadStream errors if its file system fails while it is read", async ({ fs }) => {
  const stream = await fs.readStream("/proc/self/mem", { length: 10 });
  await assert.rejects(stream.collect(), {
    name: "SandboxFsOpsError",
    errnoName: "EIO",
    operation: "readStream",
  });
});

fileTest(
  "FsWriteSink writes text and bytes in order, whether writes are waited for or not",
  async ({ fs, at, host }) => {
    const content = randomBytes(2 * MiB);
    const sink = await fs.writeStream(at("file"), { mode: 0o600 });
    const writes = [sink.write("begin"), sink.write(content), sink.write("end")];
    await sink.close();
    await Promise.all(writes);
    await sink.close();
    assert.equal(sha256(readFileSync(at("file"))), sha256(Buffer.from("begin"), content, Buffer.from("end")));
    const other = await fs.writeStream(at("file"), { append: true });
    const writer = other.getWriter();
    await writer.write("more");
    await writer.close();
    await other[Symbol.asyncDispose]();
    assert.ok(readFileSync(at("file"), "utf8").endsWith("endmore"));
    await eventually(() => assert.deepEqual(sessionPids(host), []));
  },
);

fileTest("FsWriteSink waits for a guest whose file takes nothing", async ({ fs, at, host }) => {
  execFileSync("mkfifo", [at("fifo")]);
  const reader = openSync(at("fifo"), "r+"); // reads nothing, and is no end
  const sink = await fs.writeStream(at("fifo"));
  let written = 0;
  const writing = (async () => {
    for (let i = 0; i < 64; i++) {
      await sink.write(new Uint8Array(MiB / 4));
      written++;
    }
  })();
  await fs.exists(at("fifo"));
  await client64(fs);
  assert.ok(written < 16, `${written} writes went into a FIFO that is not read`);
  const failed = assert.rejects(writing);
  await sink.abort("enough");
  await failed;
  closeSync(reader);
  await eventually(() => assert.ok(sessionPids(host).length < 2, "the writer of the FIFO is still there"));
});

/** Many small calls: time for more to be written, if there were more to come. */
async function client64(fs: { exists(path: string): Promise<boolean> }): Promise<void> {
  for (let i = 0; i < 64; i++) await fs.exists("/");
}

fileTest(
  "FsWriteSink with atomic shows nothing before it is closed, and nothing ever if it is not",
  async (files) => {
    const { fs, at, directory } = files;
    writeFileSync(at("file"), "old");
    const sink = await fs.writeStream(at("file"), { atomic: true });
    await sink.write("new");
    await fs.exists(at("file"));
    assert.equal(readFileSync(at("file"), "utf8"), "old");
    await sink.close();
    assert.equal(readFileSync(at("file"), "utf8"), "new");
    {
      await using dropped = await fs.writeStream(at("file"), { atomic: true });
      await dropped.write("never");
    }
    {
      await using kept = await fs.writeStream(at("other"));
      await kept.write("kept");
    }
    const aborted = await fs.writeStream(at("file"), { atomic: true });
    await aborted.write("never");
    await aborted.abort("enough");
    assert.deepEqual([readFileSync(at("file"), "utf8"), readFileSync(at("other"), "utf8")], ["new", "kept"]);
    assert.deepEqual(readdirSync(directory).sort(), ["file", "other"]);
  },
);

fileTest(
  "FsWriteSink errors as soon as the disk is full, and when its signal fires",
  async ({ fs, at, host }) => {
    const full = await fs.writeStream("/dev/full");
    const fill = async () => {
      for (let i = 0; i < 1000; i++) await full.write(new Uint8Array(100_000));
    };
    await assert.rejects(fill(), { name: "NoSpaceError", operation: "writeStream", path: "/dev/full" });
    await assert.rejects(full.close(), { name: "NoSpaceError" });
    const abort = new AbortController();
    const sink = await fs.writeStream(at("file"), { signal: abort.signal });
    await sink.write("x");
    abort.abort("enough");
    await assert.rejects(sink.write("y"), { code: "aborted", cause: "enough" });
    assert.equal(existsSync(at("file")), true);
    await eventually(() => assert.deepEqual(sessionPids(host), []));
  },
);
