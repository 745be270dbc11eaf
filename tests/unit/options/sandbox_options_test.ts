import assert from "node:assert/strict";
import { totalmem } from "node:os";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import {
  checkSandboxName,
  parseSandboxOptions,
  parseStoredConfig,
  type SandboxOptions,
} from "../../../src/options/sandbox_options.ts";
import { SandboxBuilder } from "../../../src/sandbox/builder.ts";
import { Sandbox } from "../../../src/sandbox/sandbox.ts";
import { test } from "../../support/harness.ts";

const HOST_MIB = Math.floor(totalmem() / 2 ** 20);

function parse(options: Readonly<Record<string, unknown>>): ReturnType<typeof parseSandboxOptions> {
  // What a caller without a compiler may write.
  return parseSandboxOptions({ name: "x", image: "./rootfs", ...options } as unknown as SandboxOptions);
}

/** The fields that are named as wrong. */
function wrongFields(options: Readonly<Record<string, unknown>>): string[] {
  try {
    parse(options);
  } catch (error) {
    assert(error instanceof InvalidConfigError, String(error));
    assert.equal(error.code, "invalidConfig");
    for (const { field } of error.issues) assert.ok(error.message.includes(`${field}: `), error.message);
    return error.issues.map(({ field }) => field);
  }
  return [];
}

function refuses(field: string, values: readonly unknown[]): void {
  for (const value of values) {
    const shown = (JSON.stringify(value) ?? String(value)).slice(0, 60);
    const named = wrongFields({ [field]: value });
    assert.ok(
      named.length > 0 && named.every((name) => name === field || name.startsWith(`${field}.`)),
      `${field} ${shown}: ${named}`,
    );
  }
}

function takes(field: string, values: readonly unknown[]): void {
  for (const value of values)
    assert.deepEqual(wrongFields({ [field]: value }), [], `${field} ${JSON.stringify(value)?.slice(0, 60)}`);
}

test("parseSandboxOptions() takes names of 1 to 128 bytes, and refuses all others", () => {
  takes("name", ["a", "0", "a".repeat(128), "a.b_c-D9", "a..", "a-"]);
  const bad = [
    "",
    "a".repeat(129),
    ".",
    "..",
    ".a",
    "-a",
    "_a",
    "a/b",
    "../a",
    "a b",
    "a\n",
    "a\0",
    "é",
    "a\u202e",
    "😀",
  ];
  refuses("name", [...bad, null, 5, {}]);
  for (const name of bad)
    assert.throws(() => checkSandboxName(name), { code: "invalidConfig", message: /^name: / });
  checkSandboxName("fine");
});

test("parseSandboxOptions() makes up a name where none is given, another one each time", () => {
  const made = [undefined, undefined].map((name) => parse({ name }).config);
  const [first, second] = made.map(({ name }) => name);
  assert.match(String(first), /^sandbox-[0-9a-f]{12}$/);
  assert.match(String(second), /^sandbox-[0-9a-f]{12}$/);
  assert.notEqual(first, second);
  assert.equal(made[0]?.hostname, first);
});

test("SandboxBuilder takes no name, and connectOrCreate() wants one", async () => {
  assert.equal(new SandboxBuilder().image("alpine").build().name, undefined);
  const unnamed = Sandbox.builder().image("alpine").connectOrCreate();
  await assert.rejects(unnamed, { code: "invalidConfig", message: /^name: must be given/ });
});

test("parseSandboxOptions() takes cpus of 1 to 16, and refuses all others", () => {
  takes("cpus", [1, 16, undefined]);
  refuses("cpus", [0, -1, 17, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null]);
});

test("parseSandboxOptions() takes memory from 64 MiB to the host's, and refuses all others", () => {
  takes("memoryMiB", [64, Math.min(512, HOST_MIB)]);
  refuses("memoryMiB", [63, 0, -64, 64.5, HOST_MIB + 1, Number.NaN, "512", null]);
});

test("parseSandboxOptions() refuses memory that would end in the window of the virtio devices", () => {
  refuses("memoryMiB", [3291, 3300, 3328]);
  const whole = [3290, 3329].filter((size) => size <= HOST_MIB);
  takes("memoryMiB", whole);
});

test("parseSandboxOptions() refuses an image, a path, a user and a shell that cannot be", () => {
  refuses("image", ["", "a\0b", undefined, null, 5, []]);
  refuses("workdir", ["", "relative", "./x", "/a\0b", 5]);
  refuses("user", ["", "a\0", 0]);
  refuses("shell", ["", "/bin/sh\0", null]);
  refuses("hostname", ["", "a".repeat(65), "a_b", "a b", "é", "a\n"]);
  takes("hostname", ["a", "a".repeat(64), "a.example-1"]);
});

test("parseSandboxOptions() bounds the disk, the times and the counts", () => {
  takes("diskMiB", [64, 16 * 1024 * 1024]);
  refuses("diskMiB", [63, 16 * 1024 * 1024 + 1, 64.5, "4096"]);
  takes("bootTimeoutMs", [1, 2 ** 31 - 1]);
  refuses("bootTimeoutMs", [0, 2 ** 31, 1.5]);
  refuses("maxDurationMs", [0, -1, 1.5]);
  refuses("idleTimeoutMs", [0, -1, 1.5]);
  const entries = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`K${i}`, "v"]));
  takes("labels", [{}, entries(64)]);
  refuses("labels", [
    entries(65),
    { "": "v" },
    { ["k".repeat(129)]: "v" },
    { k: "v".repeat(1025) },
    { k: 1 },
    { k: "\0" },
  ]);
  takes("env", [{}, entries(4096), { "with space": "", é: "é" }]);
  refuses("env", [entries(4097), { "": "v" }, { "a=b": "v" }, { "a\0": "v" }, { a: "\0" }, { a: 1 }, null]);
});

test("parseSandboxOptions() says what is wrong with a key", () => {
  assert.throws(() => parse({ env: { "a=b": "v" } }), /must be a variable's name/);
});

test("parseSandboxOptions() takes limits, and refuses those that cannot be", () => {
  const { config } = parse({ rlimits: { nofile: { soft: 1, hard: "unlimited" }, core: { soft: 0 } } });
  assert.deepEqual(config.rlimits, ["nofile=1:unlimited", "core=0:0"]);
  refuses("rlimits", [
    { nofile: { soft: -1 } },
    { nofile: { soft: 1.5 } },
    { nofile: {} },
    { nofile: 5 },
    { NOFILE: { soft: 1 } },
    { "no file": { soft: 1 } },
    { nofile: { soft: 2, hard: 1 } },
    { nofile: { soft: "unlimited", hard: 1 } },
    { nofile: { soft: 1, harder: 2 } },
  ]);
});

test("parseSandboxOptions() takes replace as a choice or with a grace", () => {
  assert.equal(parse({}).replaceGraceMs, undefined);
  assert.equal(parse({ replace: false }).replaceGraceMs, undefined);
  assert.equal(parse({ replace: true }).replaceGraceMs, 10_000);
  assert.equal(parse({ replace: { graceMs: 0 } }).replaceGraceMs, 0);
  assert.equal(parse({ replace: { graceMs: 5 } }).replaceGraceMs, 5);
  refuses("replace", [{ graceMs: -1 }, { graceMs: 1.5 }, { graceMs: 2 ** 31 }, {}, "yes", 1]);
});

test("parseSandboxOptions() refuses choices that there are not, and options that it does not know", () => {
  refuses("engine", ["xen", "", null]);
  refuses("pullPolicy", ["sometimes"]);
  refuses("detached", ["yes", 1]);
  refuses("entrypoint", ["sh", [5], ["a\0"]]);
  refuses("cmd", ["sh", [null]]);
  assert.throws(() => parse({ memory: 512 }), /memory/);
});

test("parseSandboxOptions() names every field that is wrong at once", () => {
  assert.deepEqual(
    wrongFields({ name: "", cpus: 0, memoryMiB: 1, workdir: "x" })
      .filter((v, i, all) => all.indexOf(v) === i)
      .sort(),
    ["cpus", "memoryMiB", "name", "workdir"],
  );
});

test("parseSandboxOptions() fills in the defaults", () => {
  const { config, detached, pullPolicy } = parse({});
  assert.deepEqual([detached, pullPolicy], [false, "if-missing"]);
  assert.deepEqual(
    [config.cpus, config.memoryMiB, config.diskMiB, config.shell, config.bootTimeoutMs, config.hostname],
    [1, 512, 4096, "/bin/sh", 180_000, "x"],
  );
});

test("parseSandboxOptions() makes host names of names, of 64 bytes at most and different", () => {
  const hostname = (name: string) => parse({ name }).config.hostname;
  assert.equal(hostname("a_b"), "a-b");
  assert.equal(hostname("a".repeat(64)), "a".repeat(64));
  const [first, second] = [hostname(`${"a".repeat(127)}1`), hostname(`${"a".repeat(127)}2`)];
  assert.ok(first.length <= 64 && second.length <= 64 && first !== second, `${first} ${second}`);
  takes("hostname", [first, second]);
});

test("parseStoredConfig() gives back what was stored", () => {
  const stored = {
    ...parse({ env: { A: "b" }, rlimits: { core: { soft: 0 } }, cmd: ["x"] }).config,
    imageConfig: { env: ["P=q"], labels: { l: "v" } },
  };
  assert.deepEqual(parseStoredConfig(JSON.stringify(stored)), stored);
});

test("parseStoredConfig() reads a config of an older and of a newer release, and of a host with more memory", () => {
  const { hangTimeoutMs, ephemeral, ports, ...older } = parse({}).config;
  const stored = { ...older, memoryMiB: HOST_MIB * 2, imageConfig: {}, optionOfNextYear: 1 };
  const read = parseStoredConfig(JSON.stringify(stored));
  assert.deepEqual(read, {
    ...older,
    memoryMiB: HOST_MIB * 2,
    imageConfig: {},
    hangTimeoutMs,
    ephemeral,
    ports,
  });
});

test("parseStoredConfig() refuses what is no config", () => {
  for (const json of ["", "{", "null", "{}", '{"version":2}', "[]"]) {
    assert.throws(() => parseStoredConfig(json), { code: "database", hint: /removed/ }, json);
  }
  assert.throws(() => parseStoredConfig("{"), /JSON/);
});

test("SandboxBuilder collects exactly what the options say", async () => {
  const builder = new SandboxBuilder("x")
    .image("./rootfs")
    .cpus(2)
    .memory(256)
    .rootDisk(128)
    .env("A", "1")
    .envs({ B: "2", A: "3" })
    .label("k", "v")
    .labels({ l: "w" })
    .workdir("/w")
    .user("u")
    .shell("/bin/bash")
    .hostname("h")
    .entrypoint(["e"])
    .cmd(new Set(["c"]))
    .rlimit("core", 0)
    .rlimitRange("nofile", 1, 2)
    .replaceWithTimeout(5)
    .pullPolicy("never")
    .engine("qemu")
    .bootTimeout(1000);
  const expected = {
    name: "x",
    image: "./rootfs",
    cpus: 2,
    memoryMiB: 256,
    diskMiB: 128,
    env: { A: "3", B: "2" },
    labels: { k: "v", l: "w" },
    workdir: "/w",
    user: "u",
    shell: "/bin/bash",
    hostname: "h",
    entrypoint: ["e"],
    cmd: ["c"],
    rlimits: { core: { soft: 0, hard: 0 }, nofile: { soft: 1, hard: 2 } },
    replace: { graceMs: 5 },
    pullPolicy: "never",
    engine: "qemu",
    bootTimeoutMs: 1000,
  };
  assert.deepEqual(builder.build(), expected);
  assert.deepEqual(wrongFields(expected), []);
});

test("SandboxBuilder ends in what Sandbox does with the options, however it was constructed", async () => {
  for (const make of [(name: string) => new SandboxBuilder(name), Sandbox.builder]) {
    for (const end of ["create", "createDetached", "connectOrCreate"] as const)
      await assert.rejects(make("no name")[end](), { code: "invalidConfig", message: /^name: / }, end);
    const builder = make("x");
    await assert.rejects(builder.createDetached(), { code: "invalidConfig" });
    assert.equal(builder.build().detached, true);
  }
});

test("SandboxBuilder without an image is refused at create(), by the name of the field", async () => {
  await assert.rejects(new SandboxBuilder("x").create(), { code: "invalidConfig", message: /^image: / });
});
