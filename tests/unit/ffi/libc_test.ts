import assert from "node:assert/strict";
import { once } from "node:events";
import { lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Libc } from "../../../src/ffi/libc.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { runProgram } from "./real_library.ts";

const libc = await Libc.load();
const linuxOnly = { skip: process.platform === "linux" ? undefined : "looks into /proc" };
/** More than a runtime opens files of its own in a moment. */
const ATTEMPTS = 100;

/** How many descriptors this process has. */
function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}

test("connectUnixSocket() gives a descriptor that the listener sees come and go", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "s");
  const server = createServer().listen(path);
  await once(server, "listening");
  const accepted = once(server, "connection");
  const fd = libc.connectUnixSocket(path);
  const [socket] = (await accepted) as [Socket];
  assert.ok(libc.isOpen(fd));
  const ended = once(socket.resume(), "close");
  libc.closeFile(fd);
  assert.ok(!libc.isOpen(fd)); // at once: the number is anybody's again
  await ended;
  server.close();
});

test(
  "connectUnixSocket() says why it failed and keeps no descriptor",
  () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "s");
    assert.throws(() => libc.connectUnixSocket(path), { code: "io", errno: "ENOENT", path });
    writeFileSync(path, "");
    const before = openFiles();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++)
      assert.throws(() => libc.connectUnixSocket(path), { code: "io", errno: "ECONNREFUSED" });
    // The runtime opens and closes files of its own meanwhile.
    assert.ok(openFiles() < before + ATTEMPTS / 2, `${openFiles()} files are open, ${before} before`);
  },
  linuxOnly,
);

test("connectUnixSocket() refuses a path of 108 bytes", () => {
  const path = `/${"é".repeat(53)}`;
  assert.throws(
    () => libc.connectUnixSocket(path),
    { code: "io", errno: "ENOENT" },
    "107 bytes are looked up",
  );
  assert.throws(() => libc.connectUnixSocket(`${path}x`), { code: "invalidConfig" });
});

test("openFile() creates, truncates or appends as its mode says", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "f");
  assert.throws(() => libc.openFile(path, "read"), { code: "io", errno: "ENOENT" });
  assert.throws(() => libc.openFile(path, "readWrite"), { code: "io", errno: "ENOENT" });
  libc.closeFile(libc.openFile(path, "append"));
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  writeFileSync(path, "text");
  libc.closeFile(libc.openFile(path, "append"));
  assert.equal(readFileSync(path, "utf8"), "text");
  libc.closeFile(libc.openFile(path, "write"));
  assert.equal(readFileSync(path, "utf8"), "");
});

test("openFile() refuses a NUL in the path", () => {
  assert.throws(() => libc.openFile("/tmp/a\0b", "read"), { code: "invalidConfig" });
});

test("makeFifo() makes a FIFO of mode 0600, once", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "fifo");
  libc.makeFifo(path);
  assert.ok(lstatSync(path).isFIFO());
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  assert.throws(() => libc.makeFifo(path), { code: "io", errno: "EEXIST" });
});

test("setParentDeathSignal() refuses a number that is no signal", async () => {
  const end = await runProgram(`
    import { Libc } from "ffi/libc.ts";
    const libc = await Libc.load();
    libc.setParentDeathSignal(9);
    try { libc.setParentDeathSignal(1000); } catch (error) { console.log(error.errno); }
  `);
  assert.deepEqual(end, { exitCode: 0, signal: undefined, stdout: "EINVAL\n", stderr: "" });
});

test("forbidDumps() has the kernel make no core dump of the process", async () => {
  const end = await runProgram(`
    import { loadNativeInterface } from "ffi/bind.ts";
    import { Libc, openLibc } from "ffi/libc.ts";
    const { prctl } = openLibc(await loadNativeInterface());
    const PR_GET_DUMPABLE = 3;
    const before = prctl(PR_GET_DUMPABLE, 0n, 0n, 0n, 0n);
    (await Libc.load()).forbidDumps();
    console.log(before, prctl(PR_GET_DUMPABLE, 0n, 0n, 0n, 0n));
  `);
  assert.deepEqual(end, { exitCode: 0, signal: undefined, stdout: "1 0\n", stderr: "" });
});
