import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LibkrunCallError } from "../../../src/ffi/errors.ts";
import { Libkrun } from "../../../src/ffi/libkrun.ts";
import { findLibkrun, findLibkrunfw } from "../../../src/ffi/library_search.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { libkrunMissing, runProgram } from "./real_library.ts";

/** A test with the real libkrun. */
const krunTest = (name: string, body: (libkrun: Libkrun) => void | Promise<void>) =>
  test(name, async () => body(await Libkrun.load()), { skip: libkrunMissing });

const MAC = new Uint8Array([0x02, 0, 0, 0, 0, 1]);

krunTest("Libkrun.load() gives one object, and refuses other paths afterwards", async (libkrun) => {
  assert.equal(await Libkrun.load({}), libkrun);
  await assert.rejects(Libkrun.load({ libkrunPath: "/elsewhere" }), { code: "internal" });
});

krunTest("Libkrun tells its files, release and features", (libkrun) => {
  assert.equal(libkrun.libkrun.path, findLibkrun().path);
  assert.equal(libkrun.libkrunfw.path, findLibkrunfw().path);
  assert.match(libkrun.release, /^1\.1[789]/);
  assert.equal(libkrun.hasFeature("block"), true);
  assert.equal(libkrun.hasFeature("net"), true);
  assert.equal(libkrun.hasFeature("tee"), false);
  assert.equal(typeof libkrun.checkNestedVirt(), libkrun.release === "1.17" ? "undefined" : "boolean");
});

krunTest("KrunContext takes every option", (libkrun) => {
  using directory = temporaryDirectory();
  const vm = libkrun.createContext();
  vm.setVmConfig({ cpus: 2, memoryMiB: 512 });
  vm.setEnv(["root=/dev/vda", "rootfstype=erofs", "ro", "init=/agent", "A=b c"]);
  vm.setEnv([]);
  vm.setConsoleOutput(join(directory.path, "console.log"));
  vm.disableImplicitConsole();
  vm.addDisk({ id: "boot", path: "/absent/until/the/start", readOnly: true });
  vm.addDisk({ id: "upper", path: "/absent", readOnly: false, directIo: true, sync: "none" });
  const consoleId = vm.addMultiportConsole();
  vm.addConsolePort(consoleId, "agent", 1, 1);
  vm.addConsolePort(consoleId, "log", -1, 2);
  vm.disableImplicitVsock();
  vm.addVsock();
  vm.addVsockPort({ port: 1024, path: join(directory.path, "vsock"), listen: false });
  vm.addNetTap({ name: "msb-0123456789a", mac: MAC, features: 0 });
  vm.addNetUnixstream({ peer: { path: join(directory.path, "net") }, mac: MAC });
  vm.addVirtiofs({ tag: "t".repeat(36), path: directory.path });
  vm.setUser({ uid: 0, gid: 0 });
  vm.free();
});

krunTest("KrunContext.setPortMap() goes with the implicit vsock", (libkrun) => {
  const vm = libkrun.createContext();
  vm.setPortMap([{ hostPort: 8080, guestPort: 80 }]);
  vm.setPortMap([]);
  vm.disableImplicitVsock();
  assert.throws(() => vm.setPortMap([]), {
    code: "libkrunCall",
    call: "krun_set_port_map",
    errnoName: "ENODEV",
  });
  vm.free();
});

krunTest("KrunContext reports what libkrun refuses", (libkrun) => {
  const vm = libkrun.createContext();
  assert.throws(
    () => vm.addConsolePort(77, "agent", -1, -1),
    (error: unknown) =>
      error instanceof LibkrunCallError &&
      error.call === "krun_add_console_port_inout" &&
      error.returnCode === -22 &&
      error.errnoName === "EINVAL",
  );
  assert.throws(() => vm.addVsock(), { call: "krun_add_vsock", errnoName: "EEXIST" });
  vm.setConsoleOutput("/tmp/console.log");
  assert.throws(() => vm.setConsoleOutput("/tmp/console.log"), {
    call: "krun_set_console_output",
    errnoName: "EINVAL",
  });
  vm.free();
});

krunTest("KrunContext refuses names that repeat and descriptors that are closed", (libkrun) => {
  const vm = libkrun.createContext();
  vm.addDisk({ id: "a", path: "/a", readOnly: true });
  assert.throws(() => vm.addDisk({ id: "a", path: "/b", readOnly: true }), { code: "invalidConfig" });
  vm.addVirtiofs({ tag: "a", path: "/" });
  assert.throws(() => vm.addVirtiofs({ tag: "a", path: "/" }), { code: "invalidConfig" });
  const consoleId = vm.addMultiportConsole();
  vm.addConsolePort(consoleId, "a", -1, -1);
  assert.throws(() => vm.addConsolePort(consoleId, "a", -1, -1), { code: "invalidConfig" });
  assert.throws(() => vm.addConsolePort(consoleId, "b", 987_654, -1), { code: "invalidConfig" });
  vm.free();
});

krunTest("KrunContext refuses one device too many before libkrun sees it", (libkrun) => {
  if (process.arch !== "x64") return;
  const vm = libkrun.createContext();
  for (let index = 0; index < 9; index++) vm.addDisk({ id: `d${index}`, path: "/x", readOnly: true });
  assert.throws(() => vm.addDisk({ id: "d9", path: "/x", readOnly: true }), { code: "invalidConfig" });
  assert.throws(() => vm.startEnter(), /current count is 13/, "with the implicit console and vsock");
  vm.disableImplicitConsole();
  assert.throws(() => vm.startEnter(), /current count is 12/);
  vm.free(); // the context was not used up
});

krunTest("KrunContext.free() ends the context", (libkrun) => {
  const vm = libkrun.createContext();
  vm.free();
  assert.throws(() => vm.free(), { code: "internal" });
  assert.throws(() => vm.setVmConfig({ cpus: 1, memoryMiB: 128 }), { code: "internal" });
  assert.throws(() => vm.startEnter(), { code: "internal" });
});

krunTest("KrunContext is independent of others", (libkrun) => {
  const vms = Array.from({ length: 20 }, () => libkrun.createContext());
  vms.forEach((vm, index) => {
    if (index % 2 === 0) vm.free();
  });
  vms.forEach((vm, index) => {
    if (index % 2 === 1) vm.setVmConfig({ cpus: 1, memoryMiB: 128 });
  });
  for (const [index, vm] of vms.entries()) if (index % 2 === 1) vm.free();
});

krunTest("KrunContext.startEnter() throws when the VM cannot start, and libkrun's log says why", async () => {
  const { stdout, ...end } = await runProgram(`
    import { Libkrun } from "ffi/libkrun.ts";
    const libkrun = await Libkrun.load();
    libkrun.initLog({ fd: 2, level: "error" });
    const vm = libkrun.createContext();
    vm.setVmConfig({ cpus: 1, memoryMiB: 128 });
    vm.addDisk({ id: "boot", path: "/nonexistent.erofs", readOnly: true });
    const say = (call) => { try { call(); } catch (e) { console.log(e.code, e.call, e.returnCode, e.errnoName); } };
    say(() => vm.startEnter());
    say(() => vm.startEnter());
    say(() => vm.free());
  `);
  assert.equal(
    stdout,
    "libkrunCall krun_start_enter -22 EINVAL\ninternal undefined undefined undefined\n".concat(
      "internal undefined undefined undefined\n",
    ),
  );
  assert.equal(end.exitCode, 0);
  assert.match(end.stderr, /ERROR.*virtio-blk/);
});

krunTest("Libkrun.initLog() refuses a second call, which would abort the process", async () => {
  const end = await runProgram(`
    import { Libkrun } from "ffi/libkrun.ts";
    const libkrun = await Libkrun.load();
    const say = (fd) => { try { libkrun.initLog({ fd }); console.log("ready"); } catch (e) { console.log(e.code); } };
    for (const fd of [0, -2, 987654, 2, 2]) say(fd);
  `);
  const stdout = "invalidConfig\ninvalidConfig\ninvalidConfig\nready\ninternal\n";
  assert.deepEqual(end, { exitCode: 0, signal: undefined, stdout, stderr: "" });
});

krunTest("Libkrun.initLog() writes to the descriptor it is given", async () => {
  using directory = temporaryDirectory();
  const log = join(directory.path, "log");
  const end = await runProgram(`
    import { Libkrun } from "ffi/libkrun.ts";
    const libkrun = await Libkrun.load();
    libkrun.initLog({ fd: libkrun.libc.openFile(${JSON.stringify(log)}, "append"), level: "error" });
    const vm = libkrun.createContext();
    vm.addDisk({ id: "boot", path: "/nonexistent.erofs", readOnly: true });
    try { vm.startEnter(); } catch {}
  `);
  assert.deepEqual(end, { exitCode: 0, signal: undefined, stdout: "", stderr: "" });
  assert.match(readFileSync(log, "utf8"), /ERROR krun.*virtio-blk/);
});

krunTest("Libkrun.load() says which library is missing when the loader refuses libkrun", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "libkrun.so.1");
  const bytes = readFileSync(findLibkrun().path);
  const name = bytes.indexOf("libcap-ng.so.0\0");
  assert.notEqual(name, -1);
  bytes.write("libcap-ng.so.9", name);
  writeFileSync(path, bytes);
  const end = await runProgram(`
    import { Libkrun } from "ffi/libkrun.ts";
    const again = (path) => Libkrun.load({ libkrunPath: path }).catch((e) => console.log(e.code, e.path, e.hint));
    await again(${JSON.stringify(path)});
    console.log((await Libkrun.load()).release.slice(0, 2));
  `);
  const hint = "libkrun needs libcap-ng.so.9: apt-get install libcap-ng0";
  assert.deepEqual(end, {
    exitCode: 0,
    signal: undefined,
    stdout: `libkrunNotFound ${path} ${hint}\n1.\n`,
    stderr: "",
  });
});

krunTest("Libkrun.load() refuses files that are not the libraries they should be", async () => {
  using directory = temporaryDirectory();
  const text = join(directory.path, "text.so");
  writeFileSync(text, "not a library");
  const other = join(directory.path, "other.so");
  copyFileSync(findLibkrunfw().path, other);
  const end = await runProgram(`
    import { Libkrun } from "ffi/libkrun.ts";
    const say = (options) => Libkrun.load(options).catch((e) => console.log(e.code, e.summary));
    await say({ libkrunPath: ${JSON.stringify(other)} });
    await say({ libkrunfwPath: ${JSON.stringify(text)} });
    await say({ libkrunfwPath: "/nonexistent" });
  `);
  const lines = end.stdout.split("\n");
  assert.match(lines[0] ?? "", /^libkrunNotFound .*other\.so: it has no function krun_create_ctx, /);
  assert.match(lines[1] ?? "", /^libkrunfwNotFound .*text\.so: /);
  assert.equal(lines[2], "libkrunfwNotFound Cannot find libkrunfw: libkrunfwPath: /nonexistent");
});
