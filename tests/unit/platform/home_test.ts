import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, rmdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { homeDirectory, homePaths } from "../../../src/platform/home.ts";
import { ensureRunRoot } from "../../../src/platform/run_root.ts";
import { SOCKET_PATH_BYTES_MAX } from "../../../src/platform/unix_socket.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

/** Runs `body` with these variables; those that are `undefined` are not set. */
function withEnvironment<T>(variables: Readonly<Record<string, string | undefined>>, body: () => T): T {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const apply = (entries: Iterable<readonly [string, string | undefined]>) => {
    for (const [name, value] of entries) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  apply(Object.entries(variables));
  try {
    return body();
  } finally {
    apply(before);
  }
}

test("homeDirectory() is MSB_HOME, else in XDG_DATA_HOME, else in the home directory", () => {
  const home = (variables: Readonly<Record<string, string | undefined>>) =>
    withEnvironment({ MSB_HOME: undefined, XDG_DATA_HOME: undefined, ...variables }, homeDirectory);
  const usual = join(homedir(), ".local", "share", "microsandbox");
  assert.equal(home({}), usual);
  assert.equal(home({ MSB_HOME: "", XDG_DATA_HOME: "" }), usual);
  assert.equal(home({ XDG_DATA_HOME: "/data" }), "/data/microsandbox");
  assert.equal(home({ MSB_HOME: "/mine", XDG_DATA_HOME: "/data" }), "/mine");
  assert.equal(home({ MSB_HOME: "here" }), resolve("here"));
  // XDG Base Directory Specification: a relative path is to be ignored.
  assert.equal(home({ XDG_DATA_HOME: "relative" }), usual);
});

test("homePaths() are all inside the home, and different", () => {
  const paths = Object.values(homePaths("/home/x"));
  assert.ok(paths.every((path) => path.startsWith("/home/x/")));
  assert.equal(new Set(paths).size, paths.length);
});

test("ensureRunRoot() makes a directory for this user only, one for each home", () => {
  using directory = temporaryDirectory();
  withEnvironment({ XDG_RUNTIME_DIR: directory.path }, () => {
    const root = ensureRunRoot("/home/a");
    assert.equal(statSync(root).mode & 0o777, 0o700);
    assert.equal(ensureRunRoot("/home/a"), root);
    assert.notEqual(ensureRunRoot("/home/b"), root);
    chmodSync(root, 0o755);
    assert.equal(ensureRunRoot("/home/a"), root);
    assert.equal(statSync(root).mode & 0o777, 0o700);
  });
});

test("ensureRunRoot() ignores an XDG_RUNTIME_DIR that is not absolute", () => {
  withEnvironment({ XDG_RUNTIME_DIR: "relative" }, () =>
    assert.ok(isAbsolute(ensureRunRoot("/home/relative-test"))),
  );
});

test("ensureRunRoot() refuses what somebody else could have put there", () => {
  using directory = temporaryDirectory();
  withEnvironment({ XDG_RUNTIME_DIR: directory.path }, () => {
    const target = join(directory.path, "target");
    mkdirSync(target);
    const linked = ensureRunRoot("/home/linked");
    replaceWith(linked, () => symlinkSync(target, linked));
    assert.throws(() => ensureRunRoot("/home/linked"), { code: "unsupported", hint: /XDG_RUNTIME_DIR/ });
    const file = ensureRunRoot("/home/file");
    replaceWith(file, () => writeFileSync(file, ""));
    assert.throws(() => ensureRunRoot("/home/file"), { code: /unsupported|io/ });
  });
});

test(
  "ensureRunRoot() refuses a directory of another user",
  () => {
    using directory = temporaryDirectory();
    withEnvironment({ XDG_RUNTIME_DIR: directory.path }, () => {
      const root = ensureRunRoot("/home/a");
      chownSync(root, 12_345, 12_345);
      assert.throws(() => ensureRunRoot("/home/a"), {
        code: "unsupported",
        message: /belongs to user 12345/,
      });
    });
  },
  { skip: process.getuid?.() === 0 ? undefined : "only root can give a directory away" },
);

test("ensureRunRoot() refuses a place where no socket's path fits", () => {
  using directory = temporaryDirectory();
  const deep = join(directory.path, "x".repeat(SOCKET_PATH_BYTES_MAX));
  mkdirSync(deep);
  withEnvironment({ XDG_RUNTIME_DIR: deep }, () =>
    assert.throws(() => ensureRunRoot("/home/a"), { code: "unsupported", hint: /XDG_RUNTIME_DIR/ }),
  );
});

function replaceWith(path: string, make: () => void): void {
  rmdirSync(path);
  make();
}
