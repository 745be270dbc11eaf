/** Copies to and from the guest's agent, which runs as an ordinary process, so that both trees are on this machine. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { AbortedError, InvalidConfigError, IoError } from "../../../../src/base/errors.ts";
import {
  FileCopyError,
  FileCopyLimitError,
  FileCopyRefusedError,
} from "../../../../src/sandbox/files/copy_errors.ts";
import type { CopyFromHostOptions, CopyToHostOptions } from "../../../../src/sandbox/files/copy_options.ts";
import type { FileCopyProgress } from "../../../../src/sandbox/files/copy_result.ts";
import { FileNotFoundError, IsADirectoryError } from "../../../../src/sandbox/files/errors.ts";
import { SandboxFsOps } from "../../../../src/sandbox/files/fs_ops.ts";
import { listTree, makeRemovable } from "../../../support/files/tree_listing.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { filesOf } from "../../../support/guest/native_files.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { type SeededRandom, seededRandom } from "../../../support/random.ts";

const options = { missing: nativeAgentProblem };

/** A guest that shares this machine's files, and a directory of the test's own. */
async function openRoom() {
  const host = await FakeHost.start();
  const directory = temporaryDirectory();
  const fs = filesOf(await host.connect(), "/");
  return {
    fs,
    fromHost: (from: string, to: string, options?: CopyFromHostOptions) => fs.copyFromHost(from, to, options),
    toHost: (from: string, to: string, options?: CopyToHostOptions) => fs.copyToHost(from, to, options),
    at: (path: string) => join(directory.path, path),
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      makeRemovable(directory.path);
      directory[Symbol.dispose]();
    },
  };
}

/** A tree with what trees have: many sizes, modes, times, links, holes, odd names, directories without write permission. */
function makeTree(top: string, random: SeededRandom): void {
  const files: string[] = [];
  const fill = (directory: string, depth: number) => {
    mkdirSync(directory);
    for (let number = random.integer(0, 12); number > 0; number--) {
      const path = join(directory, `${random.pick(NAMES)}${number}`);
      const kind = random.integer(0, 9);
      if (kind === 0 && files.length > 0) linkSync(random.pick(files), path);
      else if (kind === 1) {
        symlinkSync(random.pick(["nowhere", "../..", "/etc/passwd", "a\nb"]), path);
        lutimesSync(path, 1, random.integer(1, 2 ** 31));
      } else if (kind < 4 && depth < 5) fill(path, depth + 1);
      else {
        writeContent(path, random);
        chmodSync(path, random.pick(FILE_MODES));
        utimesSync(path, 1, random.integer(1, 2 ** 31) + 0.123);
        files.push(path);
      }
    }
    chmodSync(directory, random.pick([0o755, 0o700, 0o555, 0o777]));
    utimesSync(directory, 1, random.integer(1, 2 ** 31));
  };
  fill(top, 0);
}

/** Root alone can copy what it may not read. */
const FILE_MODES = [0o644, 0o600, 0o755, 0o444, 0o777, process.getuid?.() === 0 ? 0o000 : 0o400];
const NAMES = [
  "file",
  "with space",
  "new\nline",
  "\u001b[31mred",
  "ünï",
  "-rf",
  "*",
  ".hidden",
  "n".repeat(240),
];
const SIZES = [0, 1, 4095, 4096, 131_071, 131_072, 131_073, 300_000, 1_000_000];

function writeContent(path: string, random: SeededRandom): void {
  if (random.integer(0, 5) === 0) execFileSync("truncate", ["-s", "3M", path]);
  else writeFileSync(path, random.bytes(Math.min(random.pick(SIZES), 5000)));
  if (random.integer(0, 3) === 0) execFileSync("truncate", ["-s", `+${random.pick(SIZES)}`, path]);
}

const everything = { modes: true, times: true };

test(
  "copyFromHost() and copyToHost() keep a tree as it is",
  async () => {
    await using room = await openRoom();
    const random = seededRandom("trees to copy");
    for (let round = 0; round < 4; round++) {
      const [source, guest, back] = ["source", "guest", "back"].map((name) => room.at(`${name}${round}`)) as [
        string,
        string,
        string,
      ];
      makeTree(source, random);
      const into = await room.fromHost(source, guest);
      assert.deepEqual(listTree(guest, everything), listTree(source, everything));
      const out = await room.toHost(guest, back);
      assert.deepEqual(listTree(back, everything), listTree(source, everything));
      assert.deepEqual({ ...into, bytes: 0 }, { ...out, bytes: 0 });
      execFileSync("diff", ["-r", "--no-dereference", source, back]);
      assert.equal(diskUse(back) <= diskUse(source) + 64, true, "holes stay holes");
    }
  },
  options,
);

function diskUse(path: string): number {
  return Number(execFileSync("du", ["-sk", path], { encoding: "utf8" }).split("\t")[0]);
}

test(
  "copyFromHost() writes a file to exactly that path, and makes the directories above",
  async () => {
    await using room = await openRoom();
    writeFileSync(room.at("f"), "content", { mode: 0o640 });
    const result = await room.fromHost(room.at("f"), room.at("p/q/g"));
    assert.deepEqual(
      { ...result, skipped: 0 },
      {
        files: 1,
        directories: 0,
        links: 0,
        bytes: 7,
        skipped: 0,
        skippedCount: 0,
      },
    );
    assert.equal(readFileSync(room.at("p/q/g"), "utf8"), "content");
    assert.equal(statSync(room.at("p/q/g")).mode & 0o7777, 0o640);
    await room.toHost(room.at("p/q/g"), room.at("r/s/t"));
    assert.equal(readFileSync(room.at("r/s/t"), "utf8"), "content");
  },
  options,
);

test(
  "copyFromHost() merges into directories that are there, which keep their mode, and replaces files and links",
  async () => {
    await using room = await openRoom();
    for (const path of ["source/d/e", "guest/d/old"]) mkdirSync(room.at(path), { recursive: true });
    writeFileSync(room.at("source/d/f"), "new");
    symlinkSync("new", room.at("source/d/l"));
    writeFileSync(room.at("guest/d/f"), "old, and longer");
    chmodSync(room.at("guest/d"), 0o711);
    symlinkSync("old", room.at("guest/d/l"));
    await room.fromHost(room.at("source"), room.at("guest"));
    assert.deepEqual(readdirSync(room.at("guest/d")).sort(), ["e", "f", "l", "old"]);
    assert.equal(readFileSync(room.at("guest/d/f"), "utf8"), "new");
    assert.equal(readlinkSync(room.at("guest/d/l")), "new");
    assert.equal(statSync(room.at("guest/d")).mode & 0o777, 0o711);
  },
  options,
);

test(
  "copyFromHost() and copyToHost() tell what is in the way",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree/d"), { recursive: true });
    mkdirSync(room.at("other"));
    writeFileSync(room.at("other/d"), "a file");
    writeFileSync(room.at("file"), "a file");
    for (const copy of [room.fromHost, room.toHost]) {
      await assert.rejects(copy(room.at("tree"), room.at("file")), FileCopyError);
      await assert.rejects(copy(room.at("tree"), room.at("other")), (error) => {
        assert(error instanceof FileCopyError);
        assert.equal(error.at, "d");
        assert.equal(error.copied.files, 0);
        return true;
      });
      assert.equal(readFileSync(room.at("other/d"), "utf8"), "a file");
    }
    await assert.rejects(room.fromHost(room.at("file"), room.at("tree/d")), IsADirectoryError);
    await assert.rejects(room.toHost(room.at("file"), room.at("tree/d")), FileCopyError);
  },
  options,
);

test(
  "copyFromHost() and copyToHost() reject with the error of what is to be copied, and make nothing, if it is not there",
  async () => {
    await using room = await openRoom();
    await assert.rejects(room.fromHost(room.at("absent"), room.at("guest/x")), (error) => {
      assert(error instanceof IoError);
      assert.equal(error.errno, "ENOENT");
      return true;
    });
    await assert.rejects(room.toHost(room.at("absent"), room.at("host/x")), FileNotFoundError);
    assert(!existsSync(room.at("guest")) && !existsSync(room.at("host")));
  },
  options,
);

test(
  "copyFromHost() and copyToHost() tell of special files, and leave them out",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree"));
    execFileSync("mkfifo", [room.at("tree/fifo")]);
    for (const copy of [room.fromHost, room.toHost]) {
      const result = await copy(room.at("tree"), room.at("copy"));
      assert.deepEqual(result.skipped, [{ path: "fifo", reason: "fifo" }]);
      assert.equal(result.skippedCount, 1);
    }
    assert.deepEqual(readdirSync(room.at("copy")), []);
  },
  options,
);

test(
  "copyFromHost() and copyToHost() end when the signal fires, and leave no file that is not complete",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree"));
    for (let number = 10; number < 30; number++)
      writeFileSync(room.at(`tree/f${number}`), Buffer.alloc(500_000, number));
    for (const [copy, target] of [
      [room.fromHost, room.at("into")],
      [room.toHost, room.at("out")],
    ] as const) {
      const controller = new AbortController();
      const onProgress = ({ bytes }: FileCopyProgress) => {
        if (bytes > 3_000_000) controller.abort("enough");
      };
      await assert.rejects(
        copy(room.at("tree"), target, { signal: controller.signal, onProgress }),
        (error) => {
          assert(error instanceof AbortedError, String(error));
          assert.equal(error.cause, "enough");
          return true;
        },
      );
      await assert.rejects(copy(room.at("tree"), target, { signal: AbortSignal.abort() }), AbortedError);
    }
    const out = readdirSync(room.at("out"));
    assert(out.length > 0 && out.length < 20, out.join());
    for (const name of out) assert.equal(statSync(room.at(`out/${name}`)).size, 500_000);
  },
  options,
);

test(
  "copyFromHost() and copyToHost() tell how far they are",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree/d"), { recursive: true });
    writeFileSync(room.at("tree/d/small"), "12345");
    writeFileSync(room.at("tree/large"), Buffer.alloc(300_000, 1));
    for (const copy of [room.fromHost, room.toHost]) {
      const seen: FileCopyProgress[] = [];
      await copy(room.at("tree"), room.at("copy"), { onProgress: (progress) => seen.push(progress) });
      assert.deepEqual(seen.at(-1), { files: 2, bytes: 300_005, path: seen.at(-1)?.path ?? "" });
      assert(seen.some(({ path }) => path === "large"));
      assert(seen.every(({ bytes }, index) => bytes >= (seen[index - 1]?.bytes ?? 0)));
    }
  },
  options,
);

test(
  "copyToHost() says what it had copied when a limit is reached",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree"));
    for (const name of ["a", "b", "c"]) writeFileSync(room.at(`tree/${name}`), "12345");
    await assert.rejects(room.toHost(room.at("tree"), room.at("out"), { bytesMax: 12 }), (error) => {
      assert(error instanceof FileCopyError);
      assert(error.cause instanceof FileCopyLimitError);
      assert.equal(error.copied.files, 2);
      assert.match(
        error.message,
        /it stopped at ".+" after 2 files: the sandbox sends more bytes of content than 12\n {2}hint: raise bytesMax/,
      );
      return true;
    });
    assert.equal(readdirSync(room.at("out")).length, 2);
  },
  options,
);

test(
  "copyFromHost() goes on where the guest's end fails in the middle, and says where",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree"));
    mkdirSync(room.at("guest/f5"), { recursive: true });
    for (let number = 0; number < 10; number++) writeFileSync(room.at(`tree/f${number}`), String(number));
    await assert.rejects(room.fromHost(room.at("tree"), room.at("guest")), (error) => {
      assert(error instanceof FileCopyError);
      assert.equal(error.at, "f5");
      assert(error.cause instanceof IsADirectoryError);
      assert.equal(error.errno, 21);
      assert(error.copied.files >= 5);
      return true;
    });
  },
  options,
);

test(
  "copyFromHost() copies what links lead to, if it is asked to",
  async () => {
    await using room = await openRoom();
    mkdirSync(room.at("tree/d"), { recursive: true });
    writeFileSync(room.at("tree/d/f"), "content");
    symlinkSync("d", room.at("tree/to directory"));
    symlinkSync("d/f", room.at("tree/to file"));
    await room.fromHost(room.at("tree"), room.at("guest"), { followLinks: true });
    assert.equal(readFileSync(room.at("guest/to directory/f"), "utf8"), "content");
    assert(statSync(room.at("guest/to file")).isFile());
    symlinkSync("..", room.at("tree/d/loop"));
    await assert.rejects(
      room.fromHost(room.at("tree"), room.at("guest2"), { followLinks: true }),
      (error) => {
        assert(error instanceof FileCopyError);
        assert(error.cause instanceof FileCopyRefusedError);
        return true;
      },
    );
  },
  options,
);

test("copyFromHost() and copyToHost() refuse options that they do not have", async () => {
  const unused = { connect: () => Promise.reject(new Error("nothing may be asked")) };
  const fs = new SandboxFsOps(unused, { user: "", cwd: "/" });
  for (const given of [{ depth: 3 }, { filter: "x" }, { user: "" }, { skipUnreadable: 1 }, { signal: {} }]) {
    await assert.rejects(fs.copyFromHost("a", "b", given as never), InvalidConfigError);
    await assert.rejects(fs.copyToHost("a", "b", given as never), InvalidConfigError);
  }
  for (const given of [{ depthMax: 0 }, { depthMax: 1001 }, { bytesMax: -1 }, { entriesMax: 1.5 }])
    await assert.rejects(fs.copyToHost("a", "b", given), InvalidConfigError);
  for (const path of ["", "a\0b", undefined as never]) {
    await assert.rejects(fs.copyFromHost(path, "b"), InvalidConfigError);
    await assert.rejects(fs.copyFromHost("a", path), InvalidConfigError);
    await assert.rejects(fs.copyToHost(path, "b"), InvalidConfigError);
    await assert.rejects(fs.copyToHost("a", path), InvalidConfigError);
  }
});
