import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { homeDirectory, homePaths, openHome } from "../../../src/platform/home.ts";
import { ensureRunRoot, existingRunRoots } from "../../../src/platform/run_root.ts";
import { isRunDirectory } from "../../../src/platform/run_root_check.ts";
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

test("openHome() creates the home for this user only, and closes one that others can read", () => {
  using directory = temporaryDirectory();
  const home = join(directory.path, "new", "home");
  assert.equal(openHome(home), home);
  assert.equal(statSync(home).mode & 0o777, 0o700);
  chmodSync(home, 0o755);
  assert.equal(openHome(home), home);
  assert.equal(statSync(home).mode & 0o777, 0o700);
  assert.equal(
    withEnvironment({ MSB_HOME: home }, () => openHome()),
    home,
  );
});

test("openHome() refuses a home to which others could write: what they put there would be ours", () => {
  using directory = temporaryDirectory();
  const home = join(directory.path, "home");
  mkdirSync(home);
  for (const [path, hint] of [
    [home, /chmod go-w/],
    [directory.path, /chmod go-w/],
  ] as const) {
    chmodSync(path, 0o777);
    assert.throws(() => openHome(home), { code: "untrustedPath", hint });
    assert.equal(statSync(path).mode & 0o777, 0o777, "it may have been filled already");
    chmodSync(path, 0o700);
  }
  openHome(home);
});

const asRoot = { skip: process.getuid?.() === 0 ? undefined : "only root can give a directory away" };

test(
  "openHome() refuses another user's home",
  () => {
    using directory = temporaryDirectory();
    const home = openHome(join(directory.path, "home"));
    chownSync(home, 12_345, 12_345);
    assert.throws(() => openHome(home), { code: "untrustedPath", message: /belongs to user 12345/ });
    const link = join(directory.path, "link"); // as anyone can make in /tmp
    symlinkSync(directory.path, link);
    lchownSync(link, 12_345, 12_345);
    assert.throws(() => openHome(join(link, "new")), { code: "untrustedPath" });
  },
  asRoot,
);

/** A home, a temporary directory, and nothing of this process's own around them. */
function withRunBases(body: (bases: { home: string; temporary: string; runtime: string }) => void): void {
  using directory = temporaryDirectory();
  const [home, temporary, runtime] = ["home", "tmp", "run"].map((name) => join(directory.path, name));
  for (const path of [home!, temporary!, runtime!]) mkdirSync(path, { mode: 0o700 });
  withEnvironment({ XDG_RUNTIME_DIR: undefined, TMPDIR: temporary }, () =>
    body({ home: home!, temporary: temporary!, runtime: runtime! }),
  );
}

test("ensureRunRoot() prefers XDG_RUNTIME_DIR, and then the temporary directory", () => {
  withRunBases(({ home, temporary, runtime }) => {
    assert.equal(dirname(ensureRunRoot(home)), temporary);
    withEnvironment({ XDG_RUNTIME_DIR: runtime }, () => {
      assert.equal(dirname(ensureRunRoot(home)), runtime);
      assert.deepEqual(existingRunRoots(home).map(dirname), [runtime, temporary]);
    });
  });
});

test("ensureRunRoot() goes into the home when its name is taken", () => {
  withRunBases(({ home }) => {
    const taken = ensureRunRoot(home);
    replaceWith(taken, () => symlinkSync(home, taken));
    const first = ensureRunRoot(home);
    assert.equal(dirname(first), home);
    replaceWith(first, () => writeFileSync(first, ""));
    assert.match(ensureRunRoot(home), new RegExp(`^${taken}-1$`));
  });
});

test(
  "ensureRunRoot() leaves its name to another user who has taken it, and finds others",
  () => {
    withRunBases(({ home, temporary }) => {
      const taken = ensureRunRoot(home);
      chownSync(taken, 12_345, 12_345);
      assert.equal(dirname(ensureRunRoot(home)), home);
      const long = join(home, "x".repeat(100));
      const names = Array.from({ length: 9 }, () => {
        const root = ensureRunRoot(long);
        assert.equal(dirname(root), temporary);
        chownSync(root, 12_345, 12_345);
        return root;
      });
      assert.equal(new Set(names).size, 9);
      assert.throws(() => ensureRunRoot(long), {
        code: "unsupported",
        message: /belongs to user 12345/,
        hint: /XDG_RUNTIME_DIR/,
      });
    });
  },
  asRoot,
);

test(
  "ensureRunRoot() uses no XDG_RUNTIME_DIR of another user, as `sudo -E` leaves it",
  () => {
    withRunBases(({ home, temporary, runtime }) => {
      chownSync(runtime, 12_345, 12_345);
      withEnvironment({ XDG_RUNTIME_DIR: runtime }, () =>
        assert.equal(dirname(ensureRunRoot(home)), temporary),
      );
    });
  },
  asRoot,
);

test("ensureRunRoot() says what is wrong with each place if no socket's path fits", () => {
  withRunBases(({ temporary }) => {
    const deep = join(temporary, "x".repeat(SOCKET_PATH_BYTES_MAX));
    mkdirSync(deep);
    withEnvironment({ XDG_RUNTIME_DIR: deep, TMPDIR: deep }, () =>
      assert.throws(() => ensureRunRoot(deep), {
        code: "unsupported",
        message: /too long/,
        hint: /XDG_RUNTIME_DIR/,
      }),
    );
  });
});

test("isRunDirectory() knows directories in a run root of ours, wherever that is, and no others", () => {
  withRunBases(({ home, temporary, runtime }) => {
    const inRoot = (root: string) => {
      const path = join(root, "0123456789abcdef");
      mkdirSync(path);
      return path;
    };
    const here = inRoot(ensureRunRoot(home));
    const there = withEnvironment({ XDG_RUNTIME_DIR: runtime }, () => inRoot(ensureRunRoot(home)));
    assert.deepEqual([here, there].map(isRunDirectory), [true, true]);
    symlinkSync(home, join(dirname(here), "link"));
    const elsewhere = inRoot(home);
    const open = ensureRunRoot(runtime);
    chmodSync(open, 0o777);
    const others = [home, elsewhere, "/", "", dirname(here), `${here}/none`, join(dirname(here), "link")];
    assert.deepEqual([...others, inRoot(open), temporary].filter(isRunDirectory), []);
  });
});

function replaceWith(path: string, make: () => void): void {
  rmdirSync(path);
  make();
}
