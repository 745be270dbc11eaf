import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { checkTrusted, isTrusted, UntrustedPathError } from "../../../src/platform/trust.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const OTHER = 12_345;
const asRoot = { skip: process.getuid?.() === 0 ? undefined : "only root can give files away" };

/** `a/b/file` in a directory that no other user can write to, with the usual modes. */
function tree() {
  const directory = temporaryDirectory();
  const root = realpathSync(directory.path);
  const at = (path: string) => join(root, path);
  mkdirSync(at("a/b"), { recursive: true, mode: 0o755 });
  writeFileSync(at("a/b/file"), "", { mode: 0o644 });
  return { at, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

/** Asserts that the path is refused because of `culprit`. */
function refused(path: string, culprit: string, problem: RegExp): void {
  assert.throws(
    () => checkTrusted(path),
    (error: unknown) => {
      assert.ok(error instanceof UntrustedPathError, String(error));
      assert.deepEqual([error.code, error.path, error.culprit], ["untrustedPath", path, culprit]);
      assert.match(error.summary, problem);
      assert.ok(error.hint);
      return true;
    },
  );
  assert.equal(isTrusted(path), false);
}

test("checkTrusted() gives the real path of a file that only we can write to", () => {
  using files = tree();
  assert.equal(checkTrusted(files.at("a/b/file")), files.at("a/b/file"));
  symlinkSync("../a/./b", files.at("a/link"));
  symlinkSync(files.at("a/link/file"), files.at("absolute"));
  assert.equal(checkTrusted(files.at("a/link")), files.at("a/b"));
  assert.equal(checkTrusted(files.at("absolute")), files.at("a/b/file"));
  assert.equal(checkTrusted("/"), "/");
});

test("checkTrusted() refuses what every user can write to, wherever on the way", () => {
  using files = tree();
  for (const [culprit, open, usual] of [
    ["a/b/file", 0o646, 0o644],
    ["a/b", 0o757, 0o755],
    ["a", 0o777, 0o755],
  ] as const) {
    chmodSync(files.at(culprit), open);
    refused(files.at("a/b/file"), files.at(culprit), /written by every user \(mode 7?[0-7]+\)/);
    chmodSync(files.at(culprit), usual);
  }
  checkTrusted(files.at("a/b/file"));
});

test("checkTrusted() takes a directory with the sticky bit on the way, and none in the end", () => {
  using files = tree();
  chmodSync(files.at("a"), 0o1777);
  assert.equal(checkTrusted(files.at("a/b/file")), files.at("a/b/file"));
  refused(files.at("a"), files.at("a"), /every user/);
});

test(
  "checkTrusted() refuses what another user owns: the file, a directory on the way, a link",
  () => {
    using files = tree();
    for (const culprit of ["a/b/file", "a/b", "a"]) {
      chownSync(files.at(culprit), OTHER, 0);
      refused(files.at("a/b/file"), files.at(culprit), /belongs to user 12345/);
      chownSync(files.at(culprit), 0, 0);
    }
    // What /tmp lets another user do: a link of theirs that leads to what is ours.
    chmodSync(files.at("a"), 0o1777);
    symlinkSync("b/file", files.at("a/link"));
    assert.equal(checkTrusted(files.at("a/link")), files.at("a/b/file"));
    lchownSync(files.at("a/link"), OTHER, OTHER);
    refused(files.at("a/link"), files.at("a/link"), /belongs to user 12345/);
  },
  asRoot,
);

test(
  "checkTrusted() takes a further user's files, if told",
  () => {
    using files = tree();
    chownSync(files.at("a/b/file"), OTHER, OTHER);
    assert.equal(isTrusted(files.at("a/b/file"), { alsoUser: OTHER }), true);
    assert.equal(isTrusted(files.at("a/b/file"), { alsoUser: OTHER + 1 }), false);
  },
  asRoot,
);

test(
  "checkTrusted() lets a group write that has no other members, and no other group",
  () => {
    using files = tree();
    chmodSync(files.at("a/b/file"), 0o664);
    chownSync(files.at("a/b/file"), 0, 0); // root's own group, as an umask of 002 leaves it
    checkTrusted(files.at("a/b/file"));
    chownSync(files.at("a/b/file"), 0, OTHER); // nobody knows its members
    refused(files.at("a/b/file"), files.at("a/b/file"), /members of group 12345/);
    chownSync(files.at("a/b/file"), 0, 1); // the primary group of the user `daemon`
    refused(files.at("a/b/file"), files.at("a/b/file"), /members of group 1 /);
  },
  asRoot,
);

test("checkTrusted() follows no circle of links", () => {
  using files = tree();
  symlinkSync("two", files.at("one"));
  symlinkSync("one", files.at("two"));
  assert.throws(() => checkTrusted(files.at("one")), { code: "io", message: /too many links/ });
});

test("checkTrusted() says so if there is no such file", () => {
  using files = tree();
  assert.throws(() => checkTrusted(files.at("a/none")), { code: "io", errno: "ENOENT" });
  assert.equal(isTrusted(files.at("a/none")), false);
  assert.equal(isTrusted(files.at("a/b/file/none")), false);
});
