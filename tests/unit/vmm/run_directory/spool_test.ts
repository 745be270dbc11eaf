import assert from "node:assert/strict";
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { Spool, spoolRest, spoolTail } from "../../../../src/vmm/run_directory/spool.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const MiB = 1024 * 1024;

interface Setup extends Disposable {
  readonly path: string;
  readonly spool: Spool;
  /** All that the spool handed out. */
  taken(): string;
}

function setup(): Setup {
  const directory = temporaryDirectory();
  const path = join(directory.path, "console");
  const chunks: Uint8Array[] = [];
  const stillTime = () => 0; // so that a busy machine changes nothing
  const spool = new Spool(path, (chunk) => void chunks.push(chunk.slice()), stillTime);
  let isOpen = true;
  const close = spool.close.bind(spool);
  spool.close = () => {
    if (isOpen) close();
    isOpen = false;
  };
  return {
    path,
    spool,
    taken: () => Buffer.concat(chunks).toString(),
    [Symbol.dispose]() {
      spool.close();
      directory[Symbol.dispose]();
    },
  };
}

/** How an engine opens its file, and writes to it. */
const WRITERS: Readonly<Record<string, string>> = { appends: "a", "writes where it stands": "r+" };

/** Numbered lines of 64 bytes: each loss, repetition or hole shows. */
function lines(from: number, count: number): string {
  return Array.from({ length: count }, (_, index) => `${String(from + index).padStart(63, ".")}\n`).join("");
}

for (const [name, mode] of Object.entries(WRITERS)) {
  test(`Spool hands out everything once, from a writer that ${name}`, () => {
    using it = setup();
    const file = openSync(it.path, mode);
    let written = 0;
    // Rounds of different sizes, so that the file is emptied several times, with one and with many rounds in between.
    for (const count of [1, 5000, 1, 20_000, 40_000, 0, 1, 10, 17_000, 50_000, 0, 17_000, 0, 90_000, 3]) {
      writeSync(file, lines(written, count));
      written += count;
      for (let unread = 64 * count; unread >= 0; unread -= MiB) it.spool.read(); // a look takes 1 MiB
    }
    writeSync(file, lines(written, 2));
    it.spool.close();
    closeSync(file);
    assert.ok(
      it.taken() === lines(0, written + 2),
      `${it.taken().length} of ${64 * (written + 2)} bytes, or others`,
    );
  });

  test(`Spool keeps the file small on the disk, from a writer that ${name}`, () => {
    using it = setup();
    const file = openSync(it.path, mode);
    for (let i = 0; i < 32; i++) {
      writeSync(file, lines(0, 8192)); // 512 KiB
      it.spool.read();
      assert.ok(statSync(it.path).blocks * 512 <= 2 * MiB, `${statSync(it.path).blocks} blocks after ${i}`);
    }
    closeSync(file);
  });

  test(`spoolRest() gives what a killed reader had not taken, from a writer that ${name}`, () => {
    for (const [taken, emptied] of [
      [3, 0],
      [20_000, 0], // emptied, and nothing written since
      [20_000, 5],
      [20_000, 30_000], // more since than before
    ] as const) {
      using it = setup();
      const file = openSync(it.path, mode);
      writeSync(file, lines(0, taken));
      it.spool.read();
      it.spool.read();
      writeSync(file, lines(taken, emptied)); // nobody looks any more
      closeSync(file);
      const rest = new TextDecoder().decode(spoolRest(it.path));
      assert.ok(rest === lines(taken, emptied), `after ${taken}, ${emptied}: ${rest.length} bytes`);
    }
  });

  test(`spoolTail() shows the last lines without holes, from a writer that ${name}`, () => {
    using it = setup();
    const file = openSync(it.path, mode);
    writeSync(file, lines(0, 20_000));
    it.spool.read();
    it.spool.read();
    writeSync(file, "the\nlast words\n");
    closeSync(file);
    // The file was emptied, but a crash report needs more than what came after that.
    assert.equal(spoolTail(it.path), `${lines(0, 20_000)}the\nlast words\n`.slice(-4096).trim());
  });

  test(`Spool bounds a file that fills faster than it is read, and says what was dropped, from a writer that ${name}`, () => {
    using it = setup();
    const file = openSync(it.path, mode);
    const perLook = 131_072; // lines: 8 MiB, of which a look takes 1
    for (let look = 0; look < 10; look++) {
      writeSync(file, lines(look * perLook, perLook));
      it.spool.read();
      const heldBytes = statSync(it.path).blocks * 512;
      assert.ok(heldBytes < 17 * MiB, `${heldBytes} bytes after look ${look}`);
    }
    it.spool.close();
    closeSync(file);
    let next = 0;
    for (const line of it.taken().trimEnd().split("\n")) {
      const dropped = /^--- (\d+) bytes were dropped: they came too fast ---$/.exec(line);
      if (dropped !== null) next += Number(dropped[1]) / 64;
      else assert.equal(`${line}\n`, lines(next++, 1));
    }
    assert.equal(next, 10 * perLook);
  });
}

test("Spool.read() follows a writer that is as fast as itself for a few rounds only", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "console");
  let size = 0;
  // Each chunk that is taken is followed by another.
  const spool = new Spool(path, (chunk) => {
    size += chunk.length;
    if (size < 100 * MiB) appendFileSync(path, chunk);
  });
  writeFileSync(path, "x".repeat(1000));
  spool.read();
  assert.ok(size >= 1000 && size <= 8000, `${size} bytes`);
  size = 100 * MiB;
  spool.close();
});

test("Spool.read() ends a look when its time is over, and goes on in the next", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "console");
  writeFileSync(path, lines(0, 8192)); // 512 KiB
  let nowMs = 0;
  let takenBytes = 0;
  const slowly = (chunk: Uint8Array) => {
    takenBytes += chunk.length;
    nowMs += 15;
  };
  const spool = new Spool(path, slowly, () => nowMs);
  spool.read();
  assert.equal(takenBytes, 128 * 1024);
  spool.read();
  assert.equal(takenBytes, 256 * 1024);
  spool.close();
  assert.equal(takenBytes, 512 * 1024);
});

test("Spool.read() and close() survive a file that cannot be read", () => {
  using it = setup();
  appendFileSync(it.path, "one\n");
  it.spool.read();
  const descriptors = readdirSync("/proc/self/fd");
  const opened = descriptors.find((fd) => pathOf(fd) === it.path);
  assert.ok(opened !== undefined);
  closeSync(Number(opened));
  it.spool.read();
  it.spool.read();
  it.spool.close();
  assert.equal(it.taken(), "one\n");
});

/** The file behind a descriptor of this process. */
function pathOf(descriptor: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return undefined; // that of the listing itself
  }
}

test("Spool.read() goes on where it cannot note how far it has come, as on a full disk", () => {
  using it = setup();
  mkdirSync(`${it.path}.read`); // no file can be written there
  appendFileSync(it.path, "one\n");
  it.spool.read();
  appendFileSync(it.path, "two\n");
  it.spool.read();
  assert.equal(it.taken(), "one\ntwo\n");
});

test("spoolRest() of a file that nobody has read is all of it, and nothing of none", () => {
  using directory = temporaryDirectory();
  assert.equal(spoolRest(join(directory.path, "none")).length, 0);
  assert.equal(spoolTail(join(directory.path, "none")), "");
  writeFileSync(join(directory.path, "console"), "panic");
  assert.equal(new TextDecoder().decode(spoolRest(join(directory.path, "console"))), "panic");
  assert.equal(spoolTail(join(directory.path, "console")), "panic");
});

test("spoolTail() shows the end of a long file, cut at 4 KiB", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "console");
  writeFileSync(path, `${lines(0, 10_000)}the end\n`);
  const tail = spoolTail(path);
  assert.ok(tail.endsWith("the end") && tail.length <= 4096 && tail.length > 4000, `${tail.length}`);
});

test("spoolRest() and spoolTail() read no hole, however long it is", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "console");
  const far = 3 * 1024 * MiB; // a guest that has written so much to its console
  const file = openSync(path, "w");
  writeSync(file, new TextEncoder().encode("panic\n"), 0, 6, far);
  closeSync(file);
  writeFileSync(`${path}.read`, `${far} emptied`);
  assert.equal(new TextDecoder().decode(spoolRest(path)), "panic\n");
  assert.equal(spoolTail(path), "panic");
});

test("spoolRest() takes no file that cannot be read for an empty one; spoolTail() has better things to tell", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "console");
  mkdirSync(path); // stands for any error, such as EMFILE
  assert.throws(() => spoolRest(path), { code: "io" });
  assert.equal(spoolTail(path), "");
  const read = join(directory.path, "noted");
  writeFileSync(read, "panic");
  mkdirSync(`${read}.read`);
  assert.throws(() => spoolRest(read), { code: "io" });
});
