import assert from "node:assert/strict";
import { InvalidConfigError } from "../../../../src/base/errors.ts";
import {
  parseSandboxOptions,
  type SandboxConfig,
  type SandboxOptions,
} from "../../../../src/options/sandbox_options.ts";
import {
  defaultCommand,
  type ExecOptions,
  type ExecRequest,
  OUTPUT_BYTES_MAX,
  resolveExec,
  Stdin,
} from "../../../../src/sandbox/exec/exec_options.ts";
import { ExecOptionsBuilder } from "../../../../src/sandbox/exec/exec_options_builder.ts";
import { test } from "../../../support/harness.ts";

function configOf(
  options: Partial<SandboxOptions> = {},
  imageConfig: SandboxConfig["imageConfig"] = {},
): SandboxConfig {
  return { ...parseSandboxOptions({ name: "x", image: "i", ...options }).config, imageConfig };
}

function resolve(options: Readonly<Record<string, unknown>> = {}, config = configOf()): ExecRequest {
  return resolveExec(config, "cmd", ["arg"], options as ExecOptions, "null");
}

function wrongFields(body: () => unknown): string[] {
  try {
    body();
  } catch (error) {
    assert(error instanceof InvalidConfigError, String(error));
    return error.issues.map(({ field }) => field);
  }
  return [];
}

test("resolveExec() merges variables: the image's, over them the sandbox's, over them the call's", () => {
  const config = configOf(
    { env: { B: "sandbox", C: "sandbox" } },
    { env: ["A=image", "B=image", "C=image", "E=a=b", "bad", "=x"] },
  );
  const { env } = resolve({ env: { C: "call", D: "" } }, config).start;
  assert.deepEqual(env, ["A=image", "B=sandbox", "C=call", "E=a=b", "D="]);
});

test("resolveExec() takes directory and user from the call, else the sandbox, else the image", () => {
  const image = { workingDir: "/image", user: "image" };
  const both = (options: Readonly<Record<string, unknown>>, config: SandboxConfig) => {
    const { cwd, user } = resolve(options, config).start;
    return [cwd, user];
  };
  assert.deepEqual(both({}, configOf()), ["/", ""]);
  assert.deepEqual(both({}, configOf({}, { workingDir: "", user: "" })), ["/", ""]);
  assert.deepEqual(both({}, configOf({}, image)), ["/image", "image"]);
  const sandbox = configOf({ workdir: "/sandbox", user: "sandbox" }, image);
  assert.deepEqual(both({}, sandbox), ["/sandbox", "sandbox"]);
  assert.deepEqual(both({ cwd: "/call", user: "1:2" }, sandbox), ["/call", "1:2"]);
});

test("resolveExec() has each limit once, the call's over the sandbox's", () => {
  const config = configOf({ rlimits: { nofile: { soft: 1, hard: 1 }, core: { soft: 0 } } });
  const { rlimits } = resolve(
    { rlimits: { nofile: { soft: 5, hard: "unlimited" }, cpu: { soft: 9 } } },
    config,
  ).start;
  assert.deepEqual(rlimits, ["nofile=5:unlimited", "core=0:0", "cpu=9:9"]);
});

test("resolveExec() turns stdin and tty into what is sent", () => {
  const parts = (options: Readonly<Record<string, unknown>>, kind: "null" | "pipe" = "null") => {
    const { start, input } = resolveExec(configOf(), "cmd", [], options, kind);
    return { stdin: start.stdin, input, terminal: start.terminal };
  };
  const none = { input: undefined, terminal: undefined };
  assert.deepEqual(parts({}), { ...none, stdin: false });
  assert.deepEqual(parts({}, "pipe"), { ...none, stdin: true });
  assert.deepEqual(parts({ stdin: Stdin.null() }, "pipe"), { ...none, stdin: false });
  assert.deepEqual(parts({ stdin: Stdin.pipe(), tty: false }), { ...none, stdin: true });
  const bytes = new TextEncoder().encode("é");
  assert.deepEqual(parts({ stdin: Stdin.bytes("é") }), { ...none, stdin: true, input: bytes });
  assert.deepEqual(parts({ stdin: bytes }), { ...none, stdin: true, input: bytes });
  const stream = new ReadableStream<Uint8Array>();
  assert.deepEqual(parts({ stdin: stream }), { ...none, stdin: true, input: stream });
  assert.deepEqual(parts({ tty: true }).terminal, { rows: 24, columns: 80 });
  assert.deepEqual(parts({ tty: { rows: 1, columns: 65_535 } }).terminal, { rows: 1, columns: 65_535 });
});

test("resolveExec() has defaults", () => {
  const { start, ...rest } = resolve();
  assert.deepEqual(start.argv, ["cmd", "arg"]);
  assert.deepEqual(rest, {
    label: "cmd",
    startFailure: "reject",
    offline: "x",
    input: undefined,
    timeoutMs: undefined,
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: undefined,
  });
});

test("resolveExec() refuses every option that cannot be, by its name", () => {
  const cases: Readonly<Record<string, readonly unknown[]>> = {
    env: [{ "": "v" }, { "a=b": "v" }, { a: "\0" }, { a: 1 }, null, "A=b"],
    cwd: ["", "relative", "/a\0", 5],
    user: ["", "a\0", 5],
    stdin: ["none", "some text", { bytes: "text" }, { bytes: new Uint8Array(1), more: 1 }, {}, 5, null],
    tty: [{ rows: 0, columns: 1 }, { rows: 1, columns: 65_536 }, { rows: 1 }, "yes"],
    timeoutMs: [0, -1, Number.NaN, 2 ** 31, "5"],
    rlimits: [
      { nofile: { soft: -1 } },
      { nofile: { soft: 2, hard: 1 } },
      { nofile: { soft: "unlimited", hard: 1 } },
      { "a b": { soft: 1 } },
    ],
    outputBytesMax: [-1, 1.5, "5"],
    detached: ["yes", 1],
    signal: [{}, true],
  };
  for (const [field, values] of Object.entries(cases)) {
    for (const value of values) {
      const named = wrongFields(() => resolve({ [field]: value }));
      assert.ok(
        named.length > 0 && named.every((name) => name === field || name.startsWith(`${field}.`)),
        `${field} ${JSON.stringify(value)}: ${named}`,
      );
    }
  }
  assert.ok(wrongFields(() => resolve({ timeout: 5 })).length > 0);
});

test("resolveExec() refuses a hundred million numbers as stdin without looking at each", () => {
  const numbers = new Float32Array(100_000_000);
  for (const stdin of [numbers, { bytes: numbers }, { numbers }])
    assert.deepEqual(
      wrongFields(() => resolve({ stdin })),
      ["stdin"],
    );
});

test("resolveExec() takes detached, and no time limit beside it", () => {
  assert.deepEqual([resolve().start.detached, resolve({ detached: true }).start.detached], [false, true]);
  assert.deepEqual(
    wrongFields(() => resolve({ detached: true, timeoutMs: 5 })),
    ["timeoutMs"],
  );
});

test("resolveExec() refuses a command line that cannot be", () => {
  const fields = (command: unknown, args: unknown) =>
    wrongFields(() => resolveExec(configOf(), command as string, args as string[], {}, "null"));
  assert.deepEqual(fields("", []), ["command"]);
  assert.deepEqual(fields("a\0", []), ["args"]);
  assert.deepEqual(fields("a", ["b\0"]), ["args"]);
  // A text is an iterable of texts: its letters would be the arguments.
  assert.deepEqual(fields("echo", "hello"), ["args"]);
  for (const args of [null, 5, {}]) assert.deepEqual(fields("echo", args), ["args"]);
  assert.deepEqual(fields("echo", [5]), ["args"]);
  assert.deepEqual(fields("echo", [undefined]), ["args"]);
  assert.deepEqual(fields(5, []), ["command"]);
  assert.deepEqual(fields("echo", new Set(["a", "b"])), []);
});

test("defaultCommand() is ENTRYPOINT followed by CMD, as with containers", () => {
  const image = { entrypoint: ["ie"], cmd: ["ic"] };
  assert.deepEqual(defaultCommand(configOf({}, image)), ["ie", "ic"]);
  assert.deepEqual(defaultCommand(configOf({}, { cmd: ["ic"] })), ["ic"]);
  assert.deepEqual(defaultCommand(configOf({ cmd: ["sc"] }, image)), ["ie", "sc"]);
  assert.deepEqual(defaultCommand(configOf({ entrypoint: ["se"] }, image)), ["se"]);
  assert.deepEqual(defaultCommand(configOf({ entrypoint: [], cmd: ["sc"] }, image)), ["sc"]);
  for (const config of [
    configOf(),
    configOf({ entrypoint: [] }, image),
    configOf({}, { entrypoint: [], cmd: [] }),
  ])
    assert.throws(() => defaultCommand(config), { code: "noDefaultCommand", sandbox: "x" });
});

test("ExecOptionsBuilder collects exactly what the options say", () => {
  const { signal } = new AbortController();
  const { args, options } = new ExecOptionsBuilder()
    .arg("a")
    .args(["b", "c"])
    .cwd("/w")
    .user("u")
    .env("A", "1")
    .envs({ B: "2" })
    .timeout(5)
    .stdinNull()
    .stdinPipe()
    .tty()
    .rlimit("core", 0)
    .rlimitRange("nofile", 1, 2)
    .signal(signal)
    .build();
  assert.deepEqual(args, ["a", "b", "c"]);
  assert.deepEqual(options, {
    cwd: "/w",
    user: "u",
    env: { A: "1", B: "2" },
    timeoutMs: 5,
    stdin: "pipe",
    tty: true,
    rlimits: { core: { soft: 0, hard: 0 }, nofile: { soft: 1, hard: 2 } },
    signal,
  });
  assert.deepEqual(
    wrongFields(() => resolveExec(configOf(), "cmd", args, options, "null")),
    [],
  );
});
