import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { MicrosandboxError, SandboxFsOpsError } from "../../../../mod.ts";
import { FILE_DATA_BYTES_MAX } from "../../../../src/agent/file_messages.ts";
import { fileTest, rootProblem, sessionPids } from "../../../support/guest/native_files.ts";
import { eventually } from "../../../support/processes.ts";
import { randomOf } from "../../../support/random.ts";

const MiB = 1024 * 1024;
const SIZES = [
  0,
  1,
  4096,
  FILE_DATA_BYTES_MAX - 1,
  FILE_DATA_BYTES_MAX,
  FILE_DATA_BYTES_MAX + 1,
  3 * FILE_DATA_BYTES_MAX,
  5 * MiB + 7,
];

function pattern(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, index) => (index * 31) ^ (index >>> 8));
}

function assertSame(actual: Uint8Array, expected: Uint8Array, message?: string): void {
  assert.ok(
    Buffer.from(actual).equals(expected),
    message ?? `${actual.length} of ${expected.length} bytes, or others`,
  );
}

fileTest("SandboxFsOps.read() gives files of every size as they are", async ({ fs, at }) => {
  for (const size of SIZES) {
    writeFileSync(at("file"), pattern(size));
    assertSame(await fs.read(at("file")), pattern(size), `${size} bytes`);
  }
});

fileTest("SandboxFsOps.read() gives any part of a file", async ({ fs, at }) => {
  const content = pattern(2 * MiB);
  writeFileSync(at("file"), content);
  const random = randomOf(1);
  const limits = [0, 1, FILE_DATA_BYTES_MAX, FILE_DATA_BYTES_MAX + 1, content.length, content.length + 5];
  for (let round = 0; round < 60; round++) {
    const offset = random.pick([...limits, random.integer(0, content.length)]);
    const length = random.pick([...limits, random.integer(0, content.length), undefined]);
    const expected = content.subarray(offset, length === undefined ? undefined : offset + length);
    assertSame(await fs.read("file", { offset, length }), expected, `${length} from ${offset} on`);
  }
});

fileTest(
  "SandboxFsOps.read() reads what has no size, and what never ends as far as it is asked to",
  async ({ fs }) => {
    assert.match(await fs.readToString("/proc/self/status"), /^Name:/);
    assertSame(await fs.read("/dev/zero", { length: 300_000 }), new Uint8Array(300_000));
    await assert.rejects(fs.read("/dev/zero", { bytesMax: MiB }), { code: "fileLimit", limit: MiB });
  },
);

fileTest(
  "SandboxFsOps.read() reads a FIFO in a session of its own, while other calls go on",
  async (files) => {
    const { fs, at, host } = files;
    execFileSync("mkfifo", [at("fifo")]);
    writeFileSync(at("file"), "here");
    const read = fs.readToString(at("fifo"));
    assert.equal(await fs.readToString(at("file")), "here");
    const writer = await open(at("fifo"), "w");
    await writer.write("through the FIFO");
    await writer.close();
    assert.equal(await read, "through the FIFO");
    const abort = new AbortController();
    const hanging = fs.read(at("fifo"), { signal: abort.signal });
    await eventually(() => assert.equal(sessionPids(host).length, 2));
    abort.abort("enough");
    await assert.rejects(hanging, { code: "aborted", cause: "enough" });
    await eventually(() => assert.ok(sessionPids(host).length < 2, "the reader of the FIFO is still there"));
  },
);

fileTest(
  "SandboxFsOps.read() refuses more than bytesMax, whatever the guest says of the size",
  async ({ fs, at }) => {
    for (const size of [10, 200_000, 2 * MiB]) {
      writeFileSync(at("file"), pattern(size));
      assertSame(await fs.read(at("file"), { bytesMax: size }), pattern(size));
      await assert.rejects(fs.read(at("file"), { bytesMax: size - 1 }), {
        name: "FileLimitError",
        code: "fileLimit",
        limit: size - 1,
        operation: "read",
        path: at("file"),
      });
      assert.equal((await fs.read(at("file"), { bytesMax: size - 1, length: 5 })).length, 5);
    }
    truncateSync(at("file"), 2 ** 40); // sparse, and never read
    await assert.rejects(fs.read(at("file")), { code: "fileLimit" });
  },
);

fileTest(
  "SandboxFsOps.read() gives a file that is replaced while it is read as one or the other",
  async ({ fs, at }) => {
    const [one, other] = [pattern(MiB), pattern(MiB).fill(1)];
    await fs.write(at("file"), one);
    const writing = (async () => {
      for (let i = 0; i < 10; i++) await fs.write(at("file"), i % 2 === 0 ? other : one, { atomic: true });
    })();
    for (let i = 0; i < 20; i++) {
      const content = Buffer.from(await fs.read(at("file")));
      assert.ok(content.equals(one) || content.equals(other), "a mixture");
    }
    await writing;
  },
);

fileTest(
  "SandboxFsOps.readToString() gives text exactly, and refuses what is not UTF-8",
  async ({ fs, at }) => {
    const text = "\ufeffgrüße, 世界 🎉\r\n\0end";
    writeFileSync(at("text"), text);
    assert.equal(await fs.readToString(at("text")), text);
    writeFileSync(at("latin1"), Buffer.from([0x67, 0x72, 0xfc, 0xdf]));
    await assert.rejects(fs.readToString(at("latin1")), {
      code: "sandboxFsOps",
      errnoName: "EILSEQ",
      operation: "readToString",
      hint: "use read(), which gives bytes",
    });
  },
);

fileTest("SandboxFsOps rejects with a class, a code and an errno for what is wrong", async ({ fs, at }) => {
  writeFileSync(at("file"), "");
  mkdirSync(at("directory/sub"), { recursive: true });
  symlinkSync("loop", at("loop"));
  const cases: readonly [() => Promise<unknown>, string, string, string, number][] = [
    [() => fs.read(at("none")), "FileNotFoundError", "fileNotFound", "ENOENT", 2],
    [() => fs.read(at("directory")), "IsADirectoryError", "isADirectory", "EISDIR", 21],
    [() => fs.read(at("file/x")), "NotADirectoryError", "notADirectory", "ENOTDIR", 20],
    [() => fs.read(at("loop")), "SandboxFsOpsError", "sandboxFsOps", "ELOOP", 40],
    [() => fs.list(at("file")), "NotADirectoryError", "notADirectory", "ENOTDIR", 20],
    [() => fs.write(at("file"), "", { exclusive: true }), "FileExistsError", "fileExists", "EEXIST", 17],
    [() => fs.removeDir(at("directory")), "DirectoryNotEmptyError", "directoryNotEmpty", "ENOTEMPTY", 39],
    [() => fs.write("/dev/full", "x"), "NoSpaceError", "noSpace", "ENOSPC", 28],
    [() => fs.stat("x".repeat(256)), "SandboxFsOpsError", "sandboxFsOps", "ENAMETOOLONG", 36],
  ];
  for (const [call, name, code, errnoName, errno] of cases) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof SandboxFsOpsError && MicrosandboxError.is(error));
      assert.deepEqual(
        [error.name, error.code, error.errnoName, error.errno],
        [name, code, errnoName, errno],
      );
      assert.match(
        error.message,
        new RegExp(`^Cannot ${error.operation} ".*" in the sandbox: .*\\(${errnoName}\\)`),
      );
      return true;
    });
  }
});

fileTest(
  "SandboxFsOps works as the user that is asked for",
  async ({ fs, at, directory }) => {
    chmodSync(directory, 0o755);
    writeFileSync(at("secret"), "root's", { mode: 0o600 });
    assert.equal(await fs.readToString(at("secret")), "root's");
    for (const user of ["nobody", "65534", "65534:65534"])
      await assert.rejects(fs.read(at("secret"), { user }), {
        name: "PermissionDeniedError",
        hint: 'work as another user, e.g. with { user: "root" }',
      });
    await assert.rejects(fs.read(at("secret"), { user: "no-such-user" }), {
      code: "sandboxFsOps",
      kind: "badUser",
    });
    mkdirSync(at("open"));
    chmodSync(at("open"), 0o777);
    await fs.write(at("open/file"), "mine", { user: "1234:2345" });
    const { uid, gid } = await fs.stat(at("open/file"));
    assert.deepEqual([uid, gid], [1234, 2345]);
  },
  { skip: rootProblem },
);

fileTest(
  "SandboxFsOps refuses paths that no guest could have, before anything is sent",
  async ({ fs, client }) => {
    const long = "x/".repeat(2100);
    const bad: readonly [unknown, RegExp][] = [
      ["", /must not be empty/],
      ["a\0b", /NUL/],
      [new Uint8Array(0), /must not be empty/],
      [Uint8Array.of(97, 0), /NUL/],
      [long, /at most 4095 bytes: it has 4200/],
      ["\ud800", /surrogate/],
      [42, /must be a string or a Uint8Array: current value is number/],
      [null, /current value is null/],
      [undefined, /current value is undefined/],
    ];
    client.close(); // whatever is sent from here on is refused otherwise
    for (const [path, message] of bad) {
      const given = path as string;
      const refused = { code: "invalidConfig", message };
      await assert.rejects(fs.read(given), refused);
      await assert.rejects(fs.write(given, ""), refused);
      await assert.rejects(fs.stat(given), refused);
      await assert.rejects(fs.rename(given, "x"), refused);
      await assert.rejects(fs.rename("x", given), refused);
      await assert.rejects(fs.symlink(given, "x"), refused);
      assert.throws(() => fs.walk(given), refused);
      assert.throws(() => fs.watch(given), refused);
    }
  },
);

fileTest(
  "SandboxFsOps refuses options that it does not know, and those that exclude each other",
  async ({ fs }) => {
    const any = (options: object) => options as never;
    await assert.rejects(fs.read("x", any({ ofset: 1 })), {
      message: "ofset: is not known: did you mean offset?",
    });
    await assert.rejects(fs.read("x", { offset: -1 }), { code: "invalidConfig" });
    await assert.rejects(fs.read("x", null as never), { code: "invalidConfig" });
    await assert.rejects(fs.write("x", "", { append: true, offset: 1 }), {
      message: /offset: cannot be combined/,
    });
    await assert.rejects(fs.write("x", "", { atomic: true, append: true }), {
      message: /atomic: writes whole files/,
    });
    await assert.rejects(fs.write("x", "", { exclusive: true, create: false }), {
      message: /exclusive: needs/,
    });
    await assert.rejects(fs.write("x", any({})), { message: /data: must be a string, bytes/ });
    await assert.rejects(fs.access("x", {}), { message: /must ask for read, write or execute/ });
    await assert.rejects(fs.chmod("x", 0o10000), { code: "invalidConfig" });
    await assert.rejects(fs.utimes("x", { modified: Number.NaN }), { message: /times.modified/ });
    await assert.rejects(fs.makeTemp({ prefix: "a/b" }), { message: /prefix: must not contain a slash/ });
    await assert.rejects(fs.read("x", { signal: AbortSignal.abort("before") }), {
      code: "aborted",
      cause: "before",
    });
  },
);

fileTest("SandboxFsOps begins relative paths in the working directory", async ({ fs, at }) => {
  await fs.write("sub/file", "content");
  assert.equal(readFileSync(at("sub/file"), "utf8"), "content");
  assert.equal(await fs.realPath("sub/../sub/file"), await fs.realPath(at("sub/file")));
});
