/** What is mounted with a creation: file systems of this process among the others. @module */
import assert from "node:assert/strict";
import { InvalidConfigError, MemoryFileSystem, SandboxBuilder } from "../../../mod.ts";
import { splitMounts } from "../../../src/sandbox/mounts/create_mounts.ts";
import { test } from "../../support/harness.ts";

/** What is wrong with mounts. */
function problemsOf(mounts: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    splitMounts({ mounts: mounts as never });
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    return error.issues.map(({ field, problem }) => `${field} ${problem}`);
  }
  return [];
}

test("splitMounts() takes file systems out, the outer before the inner", () => {
  const [outer, inner] = [new MemoryFileSystem(), new MemoryFileSystem()];
  const { stored, providers } = splitMounts({ mounts: { "/a/b/": inner, "//a": outer, "/c": "./here" } });
  assert.deepEqual(stored, { mounts: { "/c": "./here" } });
  assert.deepEqual(
    [...providers],
    [
      ["/a", outer],
      ["/a/b", inner],
    ],
  );
});

test("splitMounts() refuses file systems that would hide another mount, before anything is created", () => {
  const files = () => new MemoryFileSystem();
  assert.match(
    problemsOf({ "/a": files(), "/a/": files() }).join(),
    /^mounts\["\/a\/"\] must not be given twice$/,
  );
  assert.match(
    problemsOf({ "/a/": "./here", "/a": files() }).join(),
    /^mounts\["\/a"\] must not be given twice$/,
  );
  assert.match(
    problemsOf({ "/a": files(), "/a/sub": "./here" }).join(),
    /^mounts\["\/a"\] would hide \/a\/sub: /,
  );
  assert.match(problemsOf({ a: files() }).join(), /^mounts\["a"\] must be an absolute path/);
  assert.deepEqual(problemsOf({ "/a/sub": files(), "/a": "./here", "/ab": files() }), []);
});

test("splitMounts() names the methods that a file system lacks", () => {
  assert.deepEqual(problemsOf({ "/a": { attributes() {}, open() {} } }), [
    'mounts["/a"] must have the methods attributes, list, open to be a file system; it has no list',
  ]);
});

test("SandboxBuilder refuses a part that is not built by its function", () => {
  const builder = new SandboxBuilder("x");
  for (const wrong of [undefined, "./project", () => undefined, () => ({})] as never[])
    for (const call of [
      () => builder.volume("/a", wrong),
      () => builder.patch(wrong),
      () => builder.imageWith(wrong),
      () => builder.rootDisk(wrong),
      () => builder.imageWith((image) => image.rootDisk(wrong)),
    ])
      assert.throws(call, InvalidConfigError);
  assert.throws(
    () => builder.volume("/a", "./project" as never),
    /volume: needs a function that takes a MountBuilder/,
  );
  assert.deepEqual(builder.build(), { name: "x" });
});
