import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LibkrunfwNotFoundError, LibkrunNotFoundError } from "../../../src/ffi/errors.ts";
import {
  findLibkrun,
  findLibkrunfw,
  type LibrarySearchOptions,
  loadFailureHint,
} from "../../../src/ffi/library_search.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const KRUN_PACKAGE = `@earendil-works/gondolin-krun-runner-${process.platform}-${process.arch}`;
const KRUNFW_PACKAGE = `@superradcompany/microsandbox-${process.platform}-${process.arch}-gnu`;

/** A temporary directory in which `files` exist. */
function directoryWith(...files: string[]) {
  const directory = temporaryDirectory();
  for (const file of files) {
    mkdirSync(dirname(join(directory.path, file)), { recursive: true });
    writeFileSync(join(directory.path, file), "");
  }
  const root = realpathSync(directory.path);
  return { at: (file: string) => join(root, file), [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

const NOWHERE: LibrarySearchOptions = { environment: {}, systemDirectories: [], startDirectories: [] };

test("findLibkrun() prefers option, then environment, then system, then package", () => {
  const packaged = `node_modules/${KRUN_PACKAGE}/lib/libkrun.so.1`;
  using files = directoryWith("option/libkrun.so.1", "env/libkrun.so.1", "system/libkrun.so.1", packaged);
  const all: LibrarySearchOptions = {
    path: files.at("option"),
    environment: { MSB_LIBKRUN: files.at("env") },
    systemDirectories: [files.at("system")],
    startDirectories: [files.at("a/b/c")],
  };
  const found = (options: LibrarySearchOptions) => {
    const { path, source, origin } = findLibkrun(options);
    return [path, source, origin];
  };
  assert.deepEqual(found(all), [files.at("option/libkrun.so.1"), "option", "libkrunPath"]);
  assert.deepEqual(found({ ...all, path: undefined }), [
    files.at("env/libkrun.so.1"),
    "environment",
    "MSB_LIBKRUN",
  ]);
  assert.deepEqual(found({ ...all, path: undefined, environment: { MSB_LIBKRUN: "" } }), [
    files.at("system/libkrun.so.1"),
    "system",
    files.at("system/libkrun.so.1"),
  ]);
  assert.deepEqual(found({ ...all, path: undefined, environment: {}, systemDirectories: [] }), [
    files.at(packaged),
    "package",
    KRUN_PACKAGE,
  ]);
});

test("findLibkrun() does not look past a place that the user named", () => {
  using files = directoryWith("system/libkrun.so.1");
  const systemDirectories = [files.at("system")];
  for (const options of [
    { ...NOWHERE, systemDirectories, path: files.at("absent.so") },
    { ...NOWHERE, systemDirectories, environment: { MSB_LIBKRUN: files.at("absent.so") } },
  ]) {
    assert.throws(
      () => findLibkrun(options),
      (error: unknown) => error instanceof LibkrunNotFoundError && error.searched.length === 1,
    );
  }
});

test("findLibkrun() takes a file of any name, if it is named", () => {
  using files = directoryWith("my-krun.so");
  assert.equal(findLibkrun({ ...NOWHERE, path: files.at("my-krun.so") }).path, files.at("my-krun.so"));
});

test("findLibkrunfw() takes the loader's name first, else the highest release, never another ABI", () => {
  using files = directoryWith(
    "a/libkrunfw.so.5.9.1",
    "a/libkrunfw.so.5.10.0",
    "a/libkrunfw.so.6.0.0",
    "a/libkrunfw.so.5.11.0.bak",
    "b/libkrunfw.so.5",
    "b/libkrunfw.so.5.10.0",
    "c/libkrunfw.so.6",
    "c/libkrunfw.so.50.1",
  );
  const find = (directory: string) => findLibkrunfw({ ...NOWHERE, path: files.at(directory) }).path;
  assert.equal(find("a"), files.at("a/libkrunfw.so.5.10.0"));
  assert.equal(find("b"), files.at("b/libkrunfw.so.5"));
  assert.throws(() => find("c"), { code: "libkrunfwNotFound" });
});

test("findLibkrunfw() walks node_modules upward and resolves links", () => {
  using files = directoryWith(`node_modules/${KRUNFW_PACKAGE}/lib/libkrunfw.so.5.6.1`, "x/y/z/here");
  symlinkSync(files.at("node_modules"), files.at("x/node_modules"));
  const found = findLibkrunfw({ ...NOWHERE, startDirectories: [files.at("x/y/z")] });
  assert.equal(found.path, files.at(`node_modules/${KRUNFW_PACKAGE}/lib/libkrunfw.so.5.6.1`));
  assert.equal(found.searched.length, 3, "z, y, then x");
  assert.ok(found.searched.at(-1)?.includes(files.at("x/node_modules")));
});

test("findLibkrun() searches LD_LIBRARY_PATH before the system's own directories", () => {
  using files = directoryWith("ld/libkrun.so.1");
  const environment = { LD_LIBRARY_PATH: `relative::${files.at("absent")}:${files.at("ld")}` };
  const found = findLibkrun({ environment, startDirectories: [] });
  assert.equal(found.path, files.at("ld/libkrun.so.1"));
  assert.deepEqual(found.searched, [files.at("absent/libkrun.so.1"), files.at("ld/libkrun.so.1")]);
});

test("findLibkrun() and findLibkrunfw() name every place and the fix when nothing is found", () => {
  using files = directoryWith("x/here");
  const options = { ...NOWHERE, systemDirectories: ["/nonexistent/lib"], startDirectories: [files.at("x")] };
  for (const [find, NotFoundError, name, code, soname] of [
    [findLibkrun, LibkrunNotFoundError, KRUN_PACKAGE, "libkrunNotFound", "libkrun.so.1"],
    [findLibkrunfw, LibkrunfwNotFoundError, KRUNFW_PACKAGE, "libkrunfwNotFound", "libkrunfw.so.5"],
  ] as const) {
    try {
      find(options);
      assert.fail("found something");
    } catch (error) {
      assert.ok(error instanceof NotFoundError);
      assert.equal(error.code, code);
      assert.equal(error.searched[0], `/nonexistent/lib/${soname}`);
      assert.equal(error.searched[1], `${name}: ${files.at(`x/node_modules/${name}/lib`)}`);
      for (const place of error.searched) assert.ok(error.message.includes(place));
      assert.match(error.hint ?? "", /MSB_LIBKRUN/);
    }
  }
});

test("loadFailureHint() names the package of a library that libkrun needs", () => {
  const message = "libcap-ng.so.0: cannot open shared object file: No such file or directory";
  assert.equal(loadFailureHint(message), "libkrun needs libcap-ng.so.0: apt-get install libcap-ng0");
  assert.match(loadFailureHint(message.replace("cap-ng", "other")) ?? "", /libother\.so\.0/);
  assert.equal(loadFailureHint("file too short"), undefined);
});
