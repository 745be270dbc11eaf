import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LineChild } from "../../../src/platform/child.ts";
import { LINE_CHARS_MAX, LineQueue, WAITING_LINES_MAX } from "../../../src/platform/line_queue.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const PATH = { PATH: "/usr/bin:/bin" };

async function shell(script: string): Promise<LineChild> {
  const stderr = openSync("/dev/null", "w");
  try {
    return await LineChild.spawn({ file: "/bin/sh", args: ["-c", script], env: PATH, cwd: "/", stderr });
  } finally {
    closeSync(stderr);
  }
}

async function linesOf(queue: { next(): Promise<string | undefined> }): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await queue.next(); line !== undefined; line = await queue.next()) lines.push(line);
  return lines;
}

test("LineQueue gives whole lines, however the bytes are cut", async () => {
  const text = "one\ntwo é€😀\n\nfour";
  const bytes = encode(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const queue = new LineQueue();
    queue.push(bytes.subarray(0, cut));
    queue.push(bytes.subarray(cut));
    queue.end();
    assert.deepEqual(await linesOf(queue), ["one", "two é€😀", ""], `cut at ${cut}`);
  }
});

test("LineQueue.next() waits for a line, and for the end", async () => {
  const queue = new LineQueue();
  const first = queue.next();
  queue.push(encode("a"));
  queue.push(encode("\n"));
  assert.equal(await first, "a");
  const second = queue.next();
  queue.end();
  assert.equal(await second, undefined);
  assert.equal(await queue.next(), undefined);
});

test("LineQueue takes a line of the largest size, and ends at a longer one", async () => {
  const longest = new LineQueue();
  longest.push(encode(`${"x".repeat(LINE_CHARS_MAX)}\n`));
  assert.equal((await longest.next())?.length, LINE_CHARS_MAX);

  const endless = new LineQueue();
  endless.push(encode("before\n"));
  for (let i = 0; i < 3; i++) endless.push(encode("x".repeat(LINE_CHARS_MAX)));
  endless.push(encode("\nafter\n")); // belongs to nothing that can be trusted
  assert.deepEqual(await linesOf(endless), ["before"]);
});

test("LineQueue ends when more lines wait than it keeps", async () => {
  const queue = new LineQueue();
  queue.push(encode("x\n".repeat(WAITING_LINES_MAX + 1)));
  assert.equal((await linesOf(queue)).length, WAITING_LINES_MAX);
});

test("LineChild speaks in lines, and says how the child ended", async () => {
  const child = await shell('while read line; do echo "got $line"; done; exit 5');
  child.send({ a: 1 });
  child.send("text\nwith a line feed");
  assert.equal(await child.nextLine(), 'got {"a":1}');
  assert.equal(await child.nextLine(), 'got "textnwith a line feed"'); // sh's read drops the backslash
  child.endInput();
  assert.equal(await child.nextLine(), undefined);
  assert.deepEqual(await child.exited, { code: 5, signal: null });
});

test("LineChild gives what the child wrote last before it ended", async () => {
  const child = await shell("echo one; echo two; exit 0");
  await child.exited;
  assert.equal(await child.nextLine(), "one");
  assert.equal(await child.nextLine(), "two");
  assert.equal(await child.nextLine(), undefined);
});

test("LineChild.send() to a child that is gone does no harm", async () => {
  const child = await shell("exit 0");
  await child.exited;
  for (let i = 0; i < 100; i++) child.send({ text: "x".repeat(10_000) });
  child.endInput();
  assert.equal(await child.nextLine(), undefined);
});

test("LineChild.kill() kills", async () => {
  const child = await shell("exec sleep 600");
  child.kill();
  assert.deepEqual(await child.exited, { code: null, signal: "SIGKILL" });
});

test("LineChild.spawn() rejects with IoError if the program cannot be started", async () => {
  const options = { args: [], env: PATH, cwd: "/", stderr: 2 };
  await assert.rejects(LineChild.spawn({ ...options, file: "/nonexistent/program" }), {
    code: "io",
    errno: "ENOENT",
    path: "/nonexistent/program",
  });
  await assert.rejects(LineChild.spawn({ ...options, file: "/etc/passwd" }), { code: "io", errno: "EACCES" });
  await assert.rejects(LineChild.spawn({ ...options, file: "/bin/sh", cwd: "/nonexistent" }), { code: "io" });
});

test("LineChild gives the child the environment, the directory and the standard error that it was told", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "stderr");
  const stderr = openSync(path, "a");
  const child = await LineChild.spawn({
    file: "/bin/sh",
    args: ["-c", 'pwd; echo "$ONLY/$HOME"; echo complaint >&2'],
    env: { ...PATH, ONLY: "this" },
    cwd: directory.path,
    stderr,
  });
  closeSync(stderr);
  assert.equal(await child.nextLine(), directory.path);
  assert.equal(await child.nextLine(), "this/");
  await child.exited;
  assert.equal(readFileSync(path, "utf8"), "complaint\n");
});

test("LineChild runs in a session of its own", async () => {
  const child = await shell("cut -d ' ' -f 6 /proc/$$/stat"); // the session, proc(5)
  assert.equal(await child.nextLine(), String(child.pid));
  await child.exited;
});
