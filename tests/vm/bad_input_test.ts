/**
 * Input that cannot be right, through the public door: each kind has its own error that names the field or the member,
 * before anything is made.
 *
 * @module
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import {
  ImageNotFoundError,
  ImageReferenceInvalidError,
  InvalidConfigError,
  IoError,
  Sandbox,
  SandboxNotFoundError,
  type SandboxOptions,
  TarInvalidError,
} from "../../mod.ts";
import { assertNothingLeft } from "../support/processes.ts";
import { homeTest, type TestHome } from "../support/vm/vm.ts";
import { buildMember, buildTar, type TarBuilderMember } from "../unit/image/tar/builder.ts";

const HOST_MEMORY_MIB = Math.floor(totalmem() / 1024 / 1024);
const NAME_BYTES_MAX = 128;
const CPUS_MAX = 16;
/** What is shown of a long path. */
const LONG_START = `${"d".repeat(99)}/`;

homeTest("create() names every option that is wrong, all at once", async (test) => {
  const cases: readonly (readonly [Partial<SandboxOptions>, readonly string[]])[] = [
    ...["", ".hidden", "-dash", "_under", "a b", "a/b", "../up", "ü", "a\0b", "a\nb"].map(
      (name) => [{ name }, ["name"]] as const,
    ),
    [{ name: "n".repeat(NAME_BYTES_MAX + 1) }, ["name"]],
    [{ cpus: 0 }, ["cpus"]],
    [{ cpus: -1 }, ["cpus"]],
    [{ cpus: 1.5 }, ["cpus"]],
    [{ cpus: CPUS_MAX + 1 }, ["cpus"]],
    [{ cpus: Number.NaN }, ["cpus"]],
    [{ memoryMiB: 63 }, ["memoryMiB"]],
    [{ memoryMiB: HOST_MEMORY_MIB + 1 }, ["memoryMiB"]],
    [{ diskMiB: 1 }, ["diskMiB"]],
    [{ env: { "A=B": "1" } }, ["env.A=B"]],
    [{ env: { A: "nul\0" } }, ["env.A"]],
    [{ workdir: "relative" }, ["workdir"]],
    [{ hostname: "under_score" }, ["hostname"]],
    [{ rlimits: { nofile: { soft: -1 } } }, ["rlimits.nofile.soft"]],
    [{ bootTimeoutMs: 0 }, ["bootTimeoutMs"]],
    [{ replace: { graceMs: -1 } }, ["replace"]],
    [{ image: "" }, ["image"]],
    [{ cpus: 0, memoryMiB: 1, name: "?" }, ["cpus", "memoryMiB", "name"]],
  ];
  for (const [wrong, fields] of cases) {
    const error = await rejection(test, wrong);
    assert.ok(error instanceof InvalidConfigError, `${JSON.stringify(wrong)}: ${String(error)}`);
    assert.equal(error.code, "invalidConfig");
    const named = error.issues.map(({ field }) => field).toSorted();
    assert.deepEqual([...new Set(named.map((field) => field.replace(/^replace\..*/, "replace")))], fields);
    for (const { problem } of error.issues) assert.notEqual(problem, "");
  }
  assert.deepEqual(readdirSync(test.home), [], "nothing was made, not even a state");
});

homeTest("create() refuses options that it does not know", async (test) => {
  const misspelt = { memmory: 512 };
  const error = await rejection(test, misspelt);
  assert.ok(error instanceof InvalidConfigError);
  assert.match(error.message, /memmory/);
});

homeTest("names at the limits are fine, and those past them are refused everywhere", async (test) => {
  const longest = "n".repeat(NAME_BYTES_MAX);
  const sandbox = await test.create({ name: longest });
  assert.equal((await sandbox.exec("true")).code, 0);
  const calls: readonly ((name: string) => Promise<unknown>)[] = [
    (name) => Sandbox.get(name),
    (name) => Sandbox.start(name),
    (name) => Sandbox.remove(name),
  ];
  for (const call of calls) {
    await assert.rejects(call(`${longest}n`), InvalidConfigError);
    await assert.rejects(call("../up"), InvalidConfigError);
    await assert.rejects(call("not-there"), SandboxNotFoundError);
  }
});

homeTest("exec() names every option that is wrong, and runs nothing", async ({ create }) => {
  const sandbox = await create();
  const cases = [
    [{ cwd: "relative" }, "cwd"],
    [{ env: { "": "x" } }, "env."],
    [{ user: "" }, "user"],
    [{ timeoutMs: 0 }, "timeoutMs"],
    [{ outputBytesMax: -1 }, "outputBytesMax"],
    [{ tty: { rows: 0, columns: 80 } }, "tty"],
    [{ rlimits: { nofile: { soft: 1.5 } } }, "rlimits.nofile.soft"],
  ] as const;
  for (const [options, field] of cases) {
    await assert.rejects(sandbox.exec("touch", ["/ran"], options), (error: unknown) => {
      assert.ok(error instanceof InvalidConfigError, `${field}: ${String(error)}`);
      assert.ok(
        error.issues.some((issue) => issue.field.startsWith(field)),
        error.message,
      );
      return true;
    });
  }
  await assert.rejects(sandbox.exec(""), InvalidConfigError);
  await assert.rejects(sandbox.exec("touch", ["/ran", "nul\0"]), InvalidConfigError);
  assert.equal((await sandbox.exec("test", ["-e", "/ran"])).code, 1);
});

homeTest("create() tells a missing image from one that is none", async (test) => {
  const absent = join(test.scratch, "absent");
  const missing = await rejection(test, { image: absent });
  assert.ok(missing instanceof ImageNotFoundError, String(missing));
  assert.ok(missing.message.includes(absent), missing.message);
  // What it made meanwhile is made to the end: nothing of it goes on behind its back.
  const bootDisks = readdirSync(join(test.home, "cache", "boot"));
  assert.ok(
    bootDisks.length === 1 && bootDisks.every((name) => name.endsWith(".erofs")),
    bootDisks.join(" "),
  );

  const text = join(test.scratch, "text");
  writeFileSync(text, "not an image\n".repeat(100));
  const wrong = await rejection(test, { image: text });
  assert.ok(wrong instanceof InvalidConfigError, String(wrong));
  assert.ok(wrong.message.includes(text), wrong.message);

  const malformed = await rejection(test, { image: "UPPER/Case::" });
  assert.ok(malformed instanceof ImageReferenceInvalidError, String(malformed));
  await assertNothingMade(test);
});

homeTest("create() names the member of a tar that is damaged or dangerous", async (test) => {
  const file = (name: string): TarBuilderMember => ({ name, data: "data" });
  const link = (name: string, linkName: string): TarBuilderMember => ({ name, type: "1", linkName });
  const symlink = (name: string, linkName: string): TarBuilderMember => ({ name, type: "2", linkName });
  const long = LONG_START.repeat(50); // 5,000 bytes
  const cases: readonly (readonly [what: string, tar: Uint8Array, member: string])[] = [
    ["a truncated member", buildMember({ ...file("cut"), data: "x".repeat(2000) }).subarray(0, 1024), "cut"],
    ["a name with ..", buildTar(file("../escape")), "../escape"],
    ["a name with .. inside", buildTar(file("a/../../escape")), "a/../../escape"],
    ["a hard link to nothing", buildTar(link("dangling", "nothing")), "dangling"],
    ["a hard link to itself", buildTar(link("self", "self")), "self"],
    ["a cycle of hard links", buildTar(link("one", "two"), link("two", "one")), "one"],
    ["a member below a file", buildTar(file("plain"), file("plain/below")), "plain/below"],
    ["a 5,000-byte path", buildTar({ ...file("short"), pax: [["path", `${long}f`]] }), LONG_START],
    ["a wrong checksum", buildTar(file("good"), { ...file("checksum"), checksum: 1 }), ""],
    [
      "a member below a symbolic link that leads to itself",
      buildTar(symlink("loop", "loop"), file("loop/below")),
      "loop/below",
    ],
  ];
  for (const [what, tar, member] of cases) {
    const path = join(test.scratch, "bad.tar");
    writeFileSync(path, tar);
    const error = await rejection(test, { image: path });
    assert.ok(error instanceof TarInvalidError, `${what}: ${String(error)}`);
    assert.equal(error.code, "tarInvalid");
    const isNamed = member === LONG_START ? error.member?.startsWith(member) : error.member === member;
    assert.ok(member === "" || isNamed, `${what}: ${error.message}`);
  }
  await assertNothingMade(test);
});

homeTest(
  "create() names a directory that cannot be read",
  async (test) => {
    const closed = join(test.image, "closed");
    mkdirSync(closed);
    chmodSync(closed, 0o000);
    const error = await rejection(test, {});
    assert.ok(error instanceof IoError, String(error));
    assert.equal(error.path, closed);
    assert.equal(error.errno, "EACCES");
    await assertNothingMade(test);
  },
  { skip: process.getuid?.() === 0 ? "root reads everything" : undefined },
);

async function rejection(test: TestHome, wrong: object): Promise<unknown> {
  const options = { name: "bad", image: test.image, memoryMiB: 128, ...wrong };
  return await Sandbox.create(options).then(
    () => assert.fail(`${JSON.stringify(wrong)} was accepted`),
    (error: unknown) => error,
  );
}

/** No sandbox, no image, no unfinished work. */
async function assertNothingMade({ home }: TestHome): Promise<void> {
  assert.deepEqual((await Sandbox.list()).sandboxes, []);
  const images = join(home, "cache", "images");
  assert.deepEqual(existsSync(images) ? readdirSync(images) : [], []);
  await assertNothingLeft(home);
}
