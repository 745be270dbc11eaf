import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { GUEST_DIRECTORY } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const PREBUILT_BYTES_MAX = 192 * 1024;

function has(command: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;
}

/** Runs a script of the guest directory, which must succeed. */
function run(script: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): string {
  const result = spawnSync(join(GUEST_DIRECTORY, script), args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  assert.equal(result.status, 0, `${script} ${args.join(" ")}:\n${result.stdout}${result.stderr}`);
  return result.stdout + result.stderr;
}

/** musl for arm64: fetched by build.sh itself only outside of tests, which use no network. */
const muslAarch64 = process.env["MUSL_AARCH64"];

const architectures = [
  ["x86_64", has("musl-gcc") ? undefined : "needs musl-gcc"],
  [
    "aarch64",
    !has("aarch64-linux-gnu-gcc")
      ? "needs aarch64-linux-gnu-gcc"
      : muslAarch64 === undefined
        ? "needs musl for arm64 in MUSL_AARCH64"
        : undefined,
  ],
] as const;

for (const [architecture, skip] of architectures) {
  test(
    `build.sh makes the committed agent-${architecture} again, byte for byte`,
    () => {
      using directory = temporaryDirectory();
      run("build.sh", ["--out", directory.path, architecture], directory.path);
      const name = `agent-${architecture}`;
      const built = readFileSync(join(directory.path, name));
      const committed = readFileSync(join(GUEST_DIRECTORY, "prebuilt", name));
      assert.ok(
        built.equals(committed),
        `guest/prebuilt/${name} is not what its sources build (or the toolchain is not the one it was built with)`,
      );
    },
    { skip, timeoutMs: 120_000 },
  );
}

test("the prebuilt agents are executable, static, and small", () => {
  for (const [architecture, machine] of [
    ["x86_64", 62],
    ["aarch64", 183],
  ] as const) {
    const path = join(GUEST_DIRECTORY, "prebuilt", `agent-${architecture}`);
    assert.ok(statSync(path).mode & 0o100);
    const bytes = readFileSync(path);
    assert.ok(bytes.length <= PREBUILT_BYTES_MAX, `${path} has ${bytes.length} bytes`);
    assert.equal(bytes.readUInt16LE(18), machine, "e_machine");
    assert.ok(!programHeaderTypes(bytes).includes(3), "PT_INTERP: not static");
  }
});

function programHeaderTypes(elf: Uint8Array): number[] {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const offset = Number(view.getBigUint64(32, true));
  const entryBytes = view.getUint16(54, true);
  return Array.from({ length: view.getUint16(56, true) }, (_, index) =>
    view.getUint32(offset + index * entryBytes, true),
  );
}

test("every C file is a room of its own: each header says what it is for, and no file exceeds 400 lines", () => {
  for (const name of readdirSync(GUEST_DIRECTORY).filter((file) => /\.[ch]$/.test(file))) {
    if (name.endsWith("protocol.h")) continue; // generated
    const text = readFileSync(join(GUEST_DIRECTORY, name), "utf8");
    assert.ok(text.split("\n").length <= 400, `${name} is too long`);
    if (name.endsWith(".h")) assert.match(text, /^\/\*/, `${name} does not say what it is for`);
  }
});

const clang = ["clang-14", "clang"].find(has);
const hasLibFuzzer =
  clang !== undefined &&
  spawnSync(clang, ["-fsanitize=fuzzer", "-x", "c", "-o", "/dev/null", "-"], {
    input:
      "#include <stddef.h>\nint LLVMFuzzerTestOneInput(const char *d, size_t n) { return d == 0 && n; }\n",
  }).status === 0;

test(
  "the frame parser and the decoders survive a short fuzz",
  () => {
    using directory = temporaryDirectory();
    const report = run("fuzz/run.sh", ["10", "50000"], directory.path);
    assert.match(report, /Done \d+ runs/);
  },
  { skip: hasLibFuzzer ? undefined : "needs clang with libFuzzer", timeoutMs: 120_000 },
);
