import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LibkrunfwNotFoundError, LibkrunNotFoundError } from "../../../src/ffi/errors.ts";
import {
  findLibkrun,
  findLibkrunfw,
  type LibrarySearchOptions,
  loadFailureHint,
} from "../../../src/ffi/library_search.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { elfLibrary } from "./elf_library.ts";

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

const NOWHERE: LibrarySearchOptions = { environment: {}, systemDirectories: [], moduleDirectory: null };

test("findLibkrun() prefers option, then environment, then system, then package", () => {
  const packaged = `node_modules/${KRUN_PACKAGE}/lib/libkrun.so.1`;
  using files = directoryWith(
    "option/libkrun.so.1",
    "env/libkrun.so.1",
    "system/libkrun.so.1",
    packaged,
    "package.json",
    "src/ffi/here",
  );
  const all: LibrarySearchOptions = {
    path: files.at("option"),
    environment: { MSB_LIBKRUN: files.at("env") },
    systemDirectories: [files.at("system")],
    moduleDirectory: files.at("src/ffi"),
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

/** Where package managers put this package and its dependency: where the code is, where the library is, and links. */
const LAYOUTS: Readonly<
  Record<string, { readonly here: string; readonly at: string; readonly link?: string }>
> = {
  "a checkout": { here: "", at: "node_modules" },
  "a flat tree": { here: "node_modules/microsandbox", at: "node_modules" },
  "a flat tree, with a scope": { here: "node_modules/@scope/microsandbox", at: "node_modules" },
  "a nested tree": { here: "node_modules/x/node_modules/microsandbox", at: "node_modules" },
  "a nested tree, in itself": {
    here: "node_modules/microsandbox",
    at: "node_modules/microsandbox/node_modules",
  },
  "pnpm's store": {
    here: "node_modules/.pnpm/microsandbox@1.0.0/node_modules/microsandbox",
    at: "node_modules/.pnpm/fw@1.0.0/node_modules",
    link: "node_modules/.pnpm/microsandbox@1.0.0/node_modules",
  },
  "Bun's store": {
    here: "node_modules/.bun/microsandbox@1.0.0/node_modules/microsandbox",
    at: "node_modules/.bun/fw@1.0.0/node_modules",
    link: "node_modules/.bun/microsandbox@1.0.0/node_modules",
  },
  "Deno's store": {
    here: "node_modules/.deno/microsandbox@1.0.0/node_modules/microsandbox",
    at: "node_modules/.deno/fw@1.0.0/node_modules",
    link: "node_modules/.deno/microsandbox@1.0.0/node_modules",
  },
};

for (const [file, text] of [
  ["deno.json", '{ "workspace": ["./microsandbox"] } // members'],
  ["package.json", '{ "workspaces": ["*"] }'],
  ["pnpm-workspace.yaml", "packages: ['*']"],
] as const) {
  test(`findLibkrunfw() finds a dependency at the root of the workspace that ${file} describes`, () => {
    const library = `p/node_modules/${KRUNFW_PACKAGE}/lib/libkrunfw.so.5`;
    using files = directoryWith(library, "p/microsandbox/package.json", "p/microsandbox/src/ffi/here");
    const find = () =>
      findLibkrunfw({ ...NOWHERE, moduleDirectory: files.at("p/microsandbox/src/ffi") }).path;
    assert.throws(find, { code: "libkrunfwNotFound" });
    writeFileSync(files.at(`p/${file}`), text);
    assert.equal(find(), files.at(library));
    chmodSync(files.at("p"), 0o777); // as another user could have written that file
    assert.throws(find, { code: "untrustedPath" });
  });
}

for (const [what, plant] of Object.entries({
  "a FIFO": (path: string) => execFileSync("mkfifo", [path]),
  "a directory": (path: string) => mkdirSync(path),
  "a link to itself": (path: string) => symlinkSync(path, path),
  "an endless device": (path: string) => symlinkSync("/dev/zero", path),
})) {
  test(`findLibkrunfw() is neither held up nor broken by ${what} in the place of a manifest above the package`, () => {
    using files = directoryWith("p/package.json", "p/src/ffi/here");
    for (const name of ["deno.json", "deno.jsonc"]) plant(files.at(name));
    const find = () => findLibkrunfw({ ...NOWHERE, moduleDirectory: files.at("p/src/ffi") });
    assert.throws(find, { code: "libkrunfwNotFound" });
  });
}

for (const [name, { here, at, link }] of Object.entries(LAYOUTS)) {
  test(`findLibkrunfw() finds a dependency of this package in ${name}`, () => {
    const file = `${at}/${KRUNFW_PACKAGE}/lib/libkrunfw.so.5.6.1`;
    using files = directoryWith(`p/${file}`, `p/${here}/package.json`, `p/${here}/src/ffi/here`);
    if (link !== undefined) {
      mkdirSync(files.at(`p/${link}/${dirname(KRUNFW_PACKAGE)}`), { recursive: true });
      symlinkSync(files.at(`p/${at}/${KRUNFW_PACKAGE}`), files.at(`p/${link}/${KRUNFW_PACKAGE}`));
    }
    const find = (path: string) => findLibkrunfw({ ...NOWHERE, moduleDirectory: files.at(path) }).path;
    assert.equal(find(`p/${here}/src/ffi`), files.at(`p/${file}`));
    symlinkSync(files.at(`p/${here}`), files.at("linked")); // as a runtime that keeps links sees it
    assert.equal(find("linked/src/ffi"), files.at(`p/${file}`));
  });
}

test("findLibkrunfw() searches no other node_modules: neither the working directory's nor those further up", () => {
  const planted = `node_modules/${KRUNFW_PACKAGE}/lib/libkrunfw.so.5`;
  using files = directoryWith(planted, `work/${planted}`, "p/package.json", "p/src/ffi/here", "work/x/here");
  const before = process.cwd();
  process.chdir(files.at("work/x"));
  try {
    for (const moduleDirectory of [files.at("p/src/ffi"), files.at("work/x"), null]) {
      assert.throws(() => findLibkrunfw({ ...NOWHERE, moduleDirectory }), { code: "libkrunfwNotFound" });
    }
  } finally {
    process.chdir(before);
  }
});

test("findLibkrun() refuses a library that another user could have put there, wherever it is", () => {
  const packaged = `p/node_modules/${KRUN_PACKAGE}/lib/libkrun.so.1`;
  using files = directoryWith("open/libkrun.so.1", packaged, "p/package.json");
  chmodSync(files.at("open"), 0o777);
  chmodSync(files.at(packaged), 0o666);
  const refused = { code: "untrustedPath", hint: /chmod go-w/ };
  for (const options of [
    { path: files.at("open/libkrun.so.1") },
    { environment: { MSB_LIBKRUN: files.at("open") } },
    { systemDirectories: [files.at("open")] },
    { moduleDirectory: files.at("p") },
  ]) {
    assert.throws(() => findLibkrun({ ...NOWHERE, ...options }), refused);
  }
  // One that is safe to use is taken, even if it comes later.
  chmodSync(files.at(packaged), 0o644);
  const both = { ...NOWHERE, systemDirectories: [files.at("open")], moduleDirectory: files.at("p") };
  assert.equal(findLibkrun(both).path, files.at(packaged));
});

test(
  "findLibkrun() refuses another user's library, unless this whole package is theirs",
  () => {
    const packaged = `p/node_modules/${KRUN_PACKAGE}/lib/libkrun.so.1`;
    using files = directoryWith(packaged, "p/package.json");
    chownSync(files.at(packaged), 12_345, 12_345);
    const find = () => findLibkrun({ ...NOWHERE, moduleDirectory: files.at("p") });
    assert.throws(find, { code: "untrustedPath", message: /user 12345/ });
    chownSync(files.at("p"), 12_345, 12_345); // as with `sudo`: the code that runs is theirs
    assert.equal(find().path, files.at(packaged));
  },
  { skip: process.getuid?.() === 0 ? undefined : "only root can give files away" },
);

test("findLibkrun() refuses a library without the functions of libkrun 1, and takes the next", () => {
  using files = directoryWith("new/libkrun.so.1", "old/libkrun.so.1");
  writeFileSync(files.at("new/libkrun.so.1"), elfLibrary(["krun_new_ctx"]));
  writeFileSync(files.at("old/libkrun.so.1"), elfLibrary(["krun_init_log", "krun_create_ctx"]));
  const find = (...directories: string[]) =>
    findLibkrun({ ...NOWHERE, systemDirectories: directories.map(files.at) });
  assert.throws(() => find("new"), {
    code: "libkrunNotFound",
    path: files.at("new/libkrun.so.1"),
    message: /has no function krun_create_ctx, .* 1\.17 to 1\.19/,
  });
  assert.equal(find("new", "old").path, files.at("old/libkrun.so.1"));
});

test("findLibkrun() says that libkrun 2 is too new, wherever it finds it", () => {
  using files = directoryWith("lib/libkrun.so.2", "lib/libkrun.so.2.0.0");
  for (const options of [
    { systemDirectories: [files.at("lib")] },
    { path: files.at("lib") },
    { environment: { MSB_LIBKRUN: files.at("lib") } },
  ]) {
    assert.throws(() => findLibkrun({ ...NOWHERE, ...options }), {
      code: "libkrunNotFound",
      path: files.at("lib/libkrun.so.2"),
      message: /libkrun\.so\.2, .* 1\.17 to 1\.19/,
    });
  }
});

test("findLibkrun() searches LD_LIBRARY_PATH before the system's own directories", () => {
  using files = directoryWith("ld/libkrun.so.1");
  const environment = { LD_LIBRARY_PATH: `relative::${files.at("absent")}:${files.at("ld")}` };
  const found = findLibkrun({ environment, moduleDirectory: null });
  assert.equal(found.path, files.at("ld/libkrun.so.1"));
  assert.deepEqual(found.searched, [files.at("absent/libkrun.so.1"), files.at("ld/libkrun.so.1")]);
});

test("findLibkrun() and findLibkrunfw() say in one line that nothing was found, with the fix, and list the places", () => {
  using files = directoryWith("x/package.json");
  const options = { ...NOWHERE, systemDirectories: ["/nonexistent/lib"], moduleDirectory: files.at("x") };
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
      assert.match(error.summary, /^Cannot find libkrun(?:fw)?: searched 2 places$/);
      assert.match(error.hint ?? "", /npm package @.*MSB_LIBKRUN/);
    }
  }
  assert.throws(() => findLibkrun({ ...NOWHERE, path: "/nonexistent/x" }), {
    summary: "Cannot find libkrun: libkrunPath: /nonexistent/x",
    hint: "correct libkrunPath, or leave it out",
  });
});

test("loadFailureHint() names the package of a library that libkrun needs", () => {
  const message = "libcap-ng.so.0: cannot open shared object file: No such file or directory";
  assert.equal(loadFailureHint(message), "libkrun needs libcap-ng.so.0: apt-get install libcap-ng0");
  assert.match(loadFailureHint(message.replace("cap-ng", "other")) ?? "", /libother\.so\.0/);
  assert.equal(loadFailureHint("/x/libkrun.so lacks krun_create_ctx"), "use libkrun 1.17 to 1.19");
  assert.equal(loadFailureHint("file too short"), undefined);
});
