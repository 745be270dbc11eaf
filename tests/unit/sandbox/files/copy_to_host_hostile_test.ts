/** `copyToHost()` with a guest that lies: nothing is ever written outside the target, whatever it sends. @module */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ProtocolError } from "../../../../src/agent/errors.ts";
import type { FileMessage } from "../../../../src/agent/file_messages.ts";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import type { CopyToHostOptions } from "../../../../src/sandbox/files/copy_options.ts";
import type { FileCopyResult } from "../../../../src/sandbox/files/copy_result.ts";
import { directoryEntry, guestEntry, symlinkEntry } from "../../../support/files/guest_entries.ts";
import { listTree, makeRemovable } from "../../../support/files/tree_listing.ts";
import { FakeFileGuest, type FakeFileSession } from "../../../support/guest/fake_files.ts";
import { filesOf } from "../../../support/guest/native_files.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { type SeededRandom, seededRandom } from "../../../support/random.ts";

type Answer = (session: FakeFileSession, request: FileMessage) => void;

/** Copies from a guest that answers as it likes into `target`. */
async function copyFrom(
  answer: Answer,
  target: string,
  options?: CopyToHostOptions,
): Promise<FileCopyResult> {
  const guest = await FakeFileGuest.start(answer);
  try {
    return await filesOf(guest.client, "/").copyToHost("/anything", target, options);
  } finally {
    guest.client.close();
  }
}

const done: Answer = (session, { id }) => session.answer("done", id, {});

for (const [name, answer] of [
  ["an answer of another kind", (session, { id }) => session.answer("path", id, { path: Buffer.from("x") })],
  ["an answer to another request", (session, { id }) => session.answer("done", id + 1, {})],
  ["a request", (session, { id }) => session.answer("writeEnd", id, {})],
  ["bytes that are no message", (session) => session.sendBytes(Buffer.from("no message at all"))],
  [
    "content beyond its window",
    (session) => {
      for (let count = 0; count < 10; count++) session.overrun(new Uint8Array(50_000));
    },
  ],
] as const satisfies readonly (readonly [string, Answer])[]) {
  test(`copyToHost() ends with ProtocolError at ${name}`, async () => {
    using directory = temporaryDirectory();
    await assert.rejects(copyFrom(answer, join(directory.path, "target")), (error) => {
      assert(
        error instanceof ProtocolError ||
          (error instanceof MicrosandboxError && error.cause instanceof ProtocolError) ||
          String(error).includes("connection"),
        String(error),
      );
      return true;
    });
    assert.deepEqual(readdirSync(directory.path), []);
  });
}

test("copyToHost() ends when the guest's process does, and says what was copied", async () => {
  using directory = temporaryDirectory();
  const target = join(directory.path, "target");
  const answer: Answer = (session, { id }) => {
    session.answer("entry", id, directoryEntry(""));
    session.answer("entry", id, guestEntry("first"));
    session.answer("data", id, { data: Buffer.from("complete") });
    session.answer("entry", id, guestEntry("second"));
    session.answer("data", id, { data: Buffer.from("half") });
    session.exit(0, 9);
  };
  await assert.rejects(copyFrom(answer, target), /it stopped at "second" after 1 file: .*signal 9/);
  assert.deepEqual(readdirSync(target), ["first"]);
});

test("copyToHost() ends at its limits with a guest that never does", async () => {
  for (const [limits, sends] of [
    [{ entriesMax: 1000 }, (session, id, count) => session.answer("entry", id, directoryEntry(`d${count}`))],
    [
      { depthMax: 100 },
      (session, id, count) => session.answer("entry", id, directoryEntry("d/".repeat(count).slice(0, -1))),
    ],
    [
      { bytesMax: 1_000_000 },
      (session, id, count) => {
        if (count === 1) session.answer("entry", id, guestEntry("f"));
        session.answer("data", id, { data: new Uint8Array(1000) });
      },
    ],
    [
      { fileBytesMax: 2 ** 50 },
      (session, id, count) => {
        if (count === 1) session.answer("entry", id, guestEntry("f"));
        session.answer("hole", id, { size: 2 ** 45 });
      },
    ],
  ] as const satisfies readonly (readonly [
    CopyToHostOptions,
    (session: FakeFileSession, id: number, count: number) => void,
  ])[]) {
    using directory = temporaryDirectory();
    const answer: Answer = (session, { id }) => {
      session.answer("entry", id, directoryEntry(""));
      for (let count = 1; count <= 3000; count++) sends(session, id, count);
    };
    const [limit] = Object.keys(limits);
    const target = join(directory.path, "target");
    await assert.rejects(copyFrom(answer, target, limits), new RegExp(`raise ${limit}`));
    assert.deepEqual(
      listTree(target).filter((line) => line.includes(".msb-")),
      [],
    );
  }
});

/** Names that lead elsewhere if they are believed, among others. */
const NAMES = [
  "a",
  "b",
  "c",
  "..",
  ".",
  "",
  "/",
  "/tmp",
  "a/..",
  "\0",
  "l",
  "\xff",
  "n".repeat(300),
  "a//b",
  "b/",
  "-",
];

/** Sends of anything at all, and mostly what could be true. */
function randomAnswer(random: SeededRandom, outside: string): Answer {
  return (session, { id }) => {
    const known = [""];
    if (random.integer(0, 9) > 0) session.answer("entry", id, directoryEntry(""));
    for (let count = random.integer(0, 40); count > 0; count--) {
      const parent = random.pick(known);
      const name = random.pick(random.integer(0, 3) === 0 ? NAMES : NAMES.slice(0, 3));
      const path = Buffer.from(parent === "" ? name : `${parent}/${name}`, "latin1");
      const attributes = {
        mode: random.integer(0, 0xffff),
        links: random.integer(0, 2),
        inode: BigInt(random.integer(0, 3)),
        modifiedNs: random.pick([0n, -(2n ** 63n), 2n ** 63n - 1n]),
        size: random.integer(0, 2 ** 40),
      };
      const target = random.pick([outside, "..", "../outside", `${outside}/kept`, "/", "a", ""]);
      switch (random.integer(0, 9)) {
        case 0:
          session.answer("data", id, { data: random.bytes(random.integer(0, 100)) });
          break;
        case 1:
          session.answer("hole", id, { size: random.pick([0, 1, 4096, Number.MAX_SAFE_INTEGER]) });
          break;
        case 2:
          session.answer("unread", id, { errno: 13 });
          break;
        case 3:
          session.answer("entry", id, guestEntry(path, { ...attributes, kind: random.integer(0, 255) }));
          break;
        case 4:
        case 5:
          session.answer("entry", id, symlinkEntry(path, target, attributes));
          known.push(path.toString("latin1"));
          break;
        case 6:
          session.answer("entry", id, directoryEntry(path, attributes));
          known.push(path.toString("latin1"));
          break;
        default:
          session.answer("entry", id, guestEntry(path, attributes));
          session.answer("data", id, { data: Buffer.from("evil") });
      }
    }
    done(session, { id } as FileMessage);
  };
}

const ROUNDS = 150;

test("copyToHost() writes nothing outside the target, whatever a guest sends", async () => {
  const random = seededRandom("a guest that lies");
  using directory = temporaryDirectory();
  const outside = join(directory.path, "outside");
  mkdirSync(outside, { mode: 0o750 });
  writeFileSync(join(outside, "kept"), "kept", { mode: 0o640 });
  const before = listTree(outside, { modes: true, times: true });
  for (let round = 0; round < ROUNDS; round++) {
    makeRemovable(directory.path);
    const target = join(directory.path, `target${round % 20}`); // what was there before is in the way, or led through
    if (round < 10) {
      mkdirSync(target, { recursive: true });
      symlinkSync(outside, join(target, "a"));
      symlinkSync(join(outside, "kept"), join(target, "b"));
    }
    try {
      await copyFrom(randomAnswer(random, outside), target, { skipUnreadable: random.integer(0, 1) === 1 });
    } catch (error) {
      assert(MicrosandboxError.is(error), String(error));
      assert.doesNotMatch(error.code, /^(?:internal|io)$/, `${error.stack}`);
    }
    assert.deepEqual(listTree(outside, { modes: true, times: true }), before);
    const others = readdirSync(directory.path).filter(
      (name) => name !== "outside" && !/^target\d+$/.test(name),
    );
    assert.deepEqual(others, []);
  }
  makeRemovable(directory.path);
  const find = (...args: string[]) => execFileSync("find", [directory.path, ...args], { encoding: "utf8" });
  const written = find("-path", outside, "-prune", "-o", "-type", "f", "-print");
  assert.notEqual(written, "", "nothing was ever written: the guest lies too much");
  assert.equal(find("-perm", "/7000"), "", "a set-id or sticky bit was taken over");
  assert.equal(readFileSync(join(outside, "kept"), "utf8"), "kept");
  assert.equal(statSync(outside).mode & 0o777, 0o750);
});
