/** What a caller may ask of a new sandbox's files. @module */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { InvalidConfigError, type Patch, type SandboxOptions } from "../../../mod.ts";
import { PATCHES_MAX } from "../../../src/options/patch_options.ts";
import { parseSandboxOptions } from "../../../src/options/sandbox_options.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

function parse(patches: unknown, more: object = {}): readonly Patch[] {
  return parseSandboxOptions({ name: "x", image: "./rootfs", ...more, patches } as SandboxOptions).patches;
}

/** What is wrong with patches, by field. */
function problems(patches: unknown, more: object = {}): Record<string, string> {
  try {
    parse(patches, more);
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    return Object.fromEntries(error.issues.map(({ field, problem }) => [field, problem]));
  }
  return {};
}

test("parseSandboxOptions() takes every kind of patch, with normal paths and absolute sources", () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "file"), "");
  const src = relative(process.cwd(), join(directory.path, "file"));
  const contentBytes = new Uint8Array([1]);
  assert.deepEqual(
    parse([
      { kind: "text", path: "//etc/./motd/", content: "", mode: 0o7777, replace: true },
      { kind: "file", path: "/a", contentBytes },
      { kind: "copyFile", src, dst: "/b//c", mode: 0 },
      { kind: "copyDir", src: directory.path, dst: "/d" },
      { kind: "symlink", target: "../x", link: "/e/" },
      { kind: "mkdir", path: "/f" },
      { kind: "remove", path: "/g" },
      { kind: "append", path: "/h", content: "\0" },
    ]),
    [
      { kind: "text", path: "/etc/motd", content: "", mode: 0o7777, replace: true },
      { kind: "file", path: "/a", contentBytes },
      { kind: "copyFile", src: join(directory.path, "file"), dst: "/b/c", mode: 0 },
      { kind: "copyDir", src: directory.path, dst: "/d" },
      { kind: "symlink", target: "../x", link: "/e" },
      { kind: "mkdir", path: "/f" },
      { kind: "remove", path: "/g" },
      { kind: "append", path: "/h", content: "\0" },
    ],
  );
  assert.deepEqual(parse(undefined), []);
});

test("parseSandboxOptions() does not store patches", () => {
  const { config } = parseSandboxOptions({
    name: "x",
    image: "./rootfs",
    patches: [{ kind: "text", path: "/a", content: "a secret" }],
  });
  assert.doesNotMatch(JSON.stringify(config), /patches|secret/);
});

test("parseSandboxOptions() refuses invalid patches, each by its field", () => {
  const text = (path: unknown) => ({ kind: "text", path, content: "" });
  assert.match(problems([text("etc/motd")])["patches.0.path"] ?? "", /absolute/);
  assert.match(problems([text("/a/../b")])["patches.0.path"] ?? "", /`\.\.`/);
  assert.match(problems([text("/")])["patches.0.path"] ?? "", /must not be \//);
  assert.match(problems([text("/proc/x")])["patches.0.path"] ?? "", /\/proc/);
  assert.match(problems([text("/dev/shm/x")])["patches.0.path"] ?? "", /\/dev/);
  assert.match(problems([text("/a\0b")])["patches.0.path"] ?? "", /NUL/);
  assert.match(problems([text("/\ud800")])["patches.0.path"] ?? "", /surrogate/);
  assert.match(problems([text(`/${"x".repeat(4096)}`)])["patches.0.path"] ?? "", /4095 bytes/);
  assert.match(problems([text(undefined)])["patches.0.path"] ?? "", /must be given/);
  assert.match(problems([{ kind: "remove", path: "/" }])["patches.0.path"] ?? "", /must not be \//);
  assert.match(problems([{ kind: "symlink", target: "", link: "/a" }])["patches.0.target"] ?? "", /empty/);
  assert.match(problems([{ kind: "symlink", target: "x", link: "a" }])["patches.0.link"] ?? "", /absolute/);
  assert.match(problems([{ kind: "mkdir", path: "/a", mode: 0o10000 }])["patches.0.mode"] ?? "", /at most/);
  assert.match(problems([{ kind: "chmod", path: "/a" }])["patches.0.kind"] ?? "", /text/);
  assert.match(
    problems([{ kind: "mkdir", path: "/a", replce: true }])["patches.0.replce"] ?? "",
    /is not known/,
  );
  assert.match(problems([{ ...text("/a"), replce: true }])["patches.0.replce"] ?? "", /did you mean replace/);
  assert.match(problems({ kind: "mkdir", path: "/a" })["patches"] ?? "", /array/);
  const many = Array.from({ length: PATCHES_MAX + 1 }, () => ({ kind: "remove", path: "/a" }));
  assert.match(problems(many)["patches"] ?? "", /at most 1000/);
  assert.equal(parse(many.slice(1)).length, PATCHES_MAX);
  const both = problems([text("a"), text("/b"), { kind: "remove", path: "c" }]);
  assert.deepEqual(Object.keys(both), ["patches.0.path", "patches.2.path"]);
});

test("parseSandboxOptions() shows no content of a patch in its errors", () => {
  const found = problems([
    { kind: "file", path: "/a", contentBytes: "hunter2" },
    { kind: "text", path: "/a", content: ["hunter2"] },
  ]);
  assert.deepEqual(Object.keys(found), ["patches.0.contentBytes", "patches.1.content"]);
  assert.doesNotMatch(JSON.stringify(found), /hunter2/);
});

test("parseSandboxOptions() looks at the sources of patches", () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "file");
  mkdirSync(join(directory.path, "tree"));
  writeFileSync(file, "");
  const copy = (kind: string, src: string) => problems([{ kind, src, dst: "/a" }])["patches.0.src"];
  assert.equal(copy("copyFile", file), undefined);
  assert.match(copy("copyFile", join(directory.path, "none")) ?? "", /there is no .*none/);
  assert.match(copy("copyFile", directory.path) ?? "", /is not a file: use copyDir/);
  assert.match(copy("copyFile", "/dev/null") ?? "", /is not a file/);
  assert.match(copy("copyDir", file) ?? "", /is not a directory: use copyFile/);
  assert.match(copy("copyFile", `${file}/below`) ?? "", /there is no/);
});

test("parseSandboxOptions() refuses a patch that a mount would hide", () => {
  const mounts = { "/app": { tmpfs: true } };
  const at = (path: string) => problems([{ kind: "mkdir", path }], { mounts })["patches.0.path"];
  assert.match(at("/app/x") ?? "", /in the mount \/app/);
  assert.match(at("//app") ?? "", /in the mount \/app/);
  assert.equal(at("/apple"), undefined);
});
