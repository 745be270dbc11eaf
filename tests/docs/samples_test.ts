/** Samples compile for the runtime that runs this test, and those that need no VM run on it. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../contract/source_files.ts";
import { temporaryDirectory, test } from "../support/harness.ts";
import { runProgram } from "./run_sample.ts";
import { programDirectory, programOf } from "./sample_program.ts";
import { allSamples, samplesOfModule, samplesOfPage } from "./samples.ts";

const isBun = "Bun" in globalThis;
/** A cold check of the whole library on a busy machine. */
const CHECK_TIMEOUT_MS = 240_000;

const samples = allSamples();

test(
  `samples are accepted by ${isBun ? "tsc, with Bun's types" : "deno check"}`,
  async () => {
    using programs = programDirectory();
    const examples = readdirSync(join(ROOT, "examples")).map((name) => join(ROOT, "examples", name));
    const paths = [...samples.map((sample) => programs.write(sample)), ...examples];
    const config = join(programs.path, "tsconfig.json");
    // What a sample makes may be for the reader to use.
    const compilerOptions = { noUnusedLocals: false };
    writeFileSync(
      config,
      JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"] }),
    );
    const { status, output } = isBun
      ? await command("tsc", ["-p", config])
      : await command("deno", ["check", "--quiet", ...paths]);
    assert.equal(status, 0, output);
  },
  { timeoutMs: CHECK_TIMEOUT_MS },
);

for (const sample of samples.filter(({ mode }) => mode === "no-vm")) {
  test(`the sample in ${sample.file}, line ${sample.line}, runs without a VM`, async () => {
    using programs = programDirectory();
    using directory = temporaryDirectory();
    const home = join(directory.path, "home");
    mkdirSync(home, { mode: 0o700 });
    await runProgram(programs.write(sample), { runtime: isBun ? "bun" : "deno", cwd: directory.path, home });
  });
}

test("samplesOfPage() joins blocks that continue each other, and reads how each is tested", () => {
  const page = [
    "```ts with web\nconst a = 1;\n```\n",
    "```ts continued\nconsole.log(a);\n```\n",
    "```sh\nls\n```\n```ts no-vm\nb();\n```\n```ts no-run: never ends by itself\nc();\n```\n",
    "```ts with stopped box\nd();\n```\n",
  ].join("text\n");
  assert.deepEqual(
    samplesOfPage("docs/x.md", page).map(({ line, mode, given, isGivenStopped, code }) => [
      line,
      mode,
      given,
      isGivenStopped,
      code,
    ]),
    [
      [2, "vm", "web", false, "const a = 1;\n\nconsole.log(a);\n"],
      [13, "no-vm", undefined, false, "b();\n"],
      [16, "no-run", undefined, false, "c();\n"],
      [20, "vm", "box", true, "d();\n"],
    ],
  );
});

test("samplesOfPage() refuses a word that it does not know, no-run without a reason, and a block without its begin", () => {
  for (const info of ["novm", "no-run", "no-run: why", "with", "with Web", "continued"])
    assert.throws(() => samplesOfPage("x.md", `\`\`\`ts ${info}\na();\n\`\`\`\n`), /x\.md:1: /, info);
});

test("samplesOfModule() takes the stars off, and programOf() imports what a comment leaves out", () => {
  const text =
    '/**\n * Doc.\n *\n * @example\n * ```ts\n * await sandbox.ping();\n * doctor({ name: "Image" });\n * ```\n */\n';
  const [sample] = samplesOfModule("src/x.ts", text);
  assert.ok(sample !== undefined);
  assert.deepEqual([sample.line, sample.code], [6, 'await sandbox.ping();\ndoctor({ name: "Image" });\n']);
  const program = programOf({ ...sample, file: "mod.ts" });
  assert.match(program, /^import \{ doctor \} from "microsandbox";$/m);
  assert.match(program, /^await using sandbox = await _Sandbox\.builder\("sandbox"\)/m);
});

/** Runs a tool of the project; gives what it printed. */
async function command(file: string, args: readonly string[]): Promise<{ status: number; output: string }> {
  const env = {
    ...process.env,
    NO_COLOR: "1",
    PATH: `${join(ROOT, "node_modules/.bin")}:${process.env["PATH"]}`,
  };
  const child = spawn(file, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const status = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
  return { status, output: Buffer.concat(chunks).toString() };
}
