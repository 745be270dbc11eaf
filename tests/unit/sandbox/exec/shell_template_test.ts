/** Templates of `$`: real shells are the judges of what a value becomes. @module */
import assert from "node:assert/strict";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { InvalidConfigError, Sandbox } from "../../../../mod.ts";
import { findProgram } from "../../../../src/platform/find_program.ts";
import { shellScript } from "../../../../src/sandbox/exec/shell_template.ts";
import { overMemory } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { shellSample, template } from "../../../support/shell_samples.ts";

/** busybox is the tool by whose name it is called; bash as sh follows POSIX. */
const SHELLS = [
  { program: "dash", name: "sh" },
  { program: "busybox", name: "sh" },
  { program: "bash", name: "sh" },
  { program: "bash", name: "bash" },
] as const;
/** What begins an expansion of the shell in a template, where JavaScript wants a backslash. */
const BRACE = "\\${";
const SCRIPTS = 60;
const FRAGMENTS_A_SCRIPT = 8;

/** Runs `body` with a sandbox whose shell this is, and an empty directory to be in. */
function withShell(
  { program, name }: (typeof SHELLS)[number],
  body: (sandbox: Sandbox, directory: string) => Promise<void>,
) {
  return overMemory(async () => {
    using place = temporaryDirectory();
    using directory = temporaryDirectory();
    const shell = join(place.path, name);
    symlinkSync(findProgram(program) ?? "", shell);
    const env = { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8" };
    const workdir = directory.path;
    await body(
      await Sandbox.create({ name: "box", image: "none", memoryMiB: 128, shell, workdir, env }),
      workdir,
    );
  });
}

for (const shell of SHELLS) {
  const { program, name } = shell;
  const called = `${program} as ${name}`;
  const missing = findProgram(program) === undefined ? `${program} is not installed` : undefined;
  test(
    `sandbox.$ passes each value as one word, byte for byte, in ${called}`,
    () =>
      withShell(shell, async (sandbox, directory) => {
        const random = seededRandom(`words in ${called}`);
        for (let count = 0; count < SCRIPTS; count++) {
          const { strings, values, expected } = shellSample(random, FRAGMENTS_A_SCRIPT);
          const output = await sandbox.$(strings, ...values);
          const script = `${JSON.stringify(strings)} with ${JSON.stringify(values.map(String))}`;
          assert.equal(output.stderr(), "", script);
          assert.deepEqual(Buffer.from(output.stdoutBytes()), Buffer.from(expected), script);
        }
        assert.deepEqual(readdirSync(directory), []);
      }),
    { skip: nativeAgentProblem, missing },
  );

  test(
    `sandbox.$ never lets ${called} run a value, whatever text is around it`,
    () =>
      withShell(shell, async (sandbox, directory) => {
        const random = seededRandom(`soup in ${called}`);
        const pieces = [
          "'",
          '"',
          "$",
          "(",
          ")",
          "{",
          "}",
          "[",
          "]",
          "`",
          "\\",
          ";",
          "|",
          "&",
          "<",
          "#",
          "\n",
          "=",
          "a",
          " ",
          "case",
          "esac",
          "$(",
          "${",
        ];
        const soup = () => Array.from({ length: random.integer(0, 6) }, () => random.pick(pieces)).join("");
        let accepted = 0;
        for (let count = 0; count < 400; count++) {
          const value = random.pick([
            "$(touch pwned)",
            "`touch pwned`",
            ";touch pwned;",
            "a[$(touch pwned)]",
            "'\";touch pwned\n",
          ]);
          const strings = template(soup(), soup());
          try {
            const command = sandbox.$(strings, value).nothrow().timeout(20_000);
            accepted++;
            await command;
          } catch (error) {
            if (!(error instanceof InvalidConfigError)) throw error;
          }
          assert.ok(!existsSync(join(directory, "pwned")), JSON.stringify([strings, value]));
        }
        assert.ok(accepted > 40, `only ${accepted} were run`);
      }),
    { skip: nativeAgentProblem, missing },
  );
}

function refusal(strings: readonly string[], ...values: readonly unknown[]): InvalidConfigError {
  try {
    shellScript(template(...strings), values);
  } catch (error) {
    if (error instanceof InvalidConfigError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(strings)} was taken`);
}

test("shellScript() refuses values that are no words, and says which", () => {
  const wrong = [
    null,
    undefined,
    true,
    false,
    {},
    { raw: 5 },
    { raw: "a", more: 1 },
    () => "a",
    Symbol.iterator,
    new Date(0),
    new Set(["a"]),
    Number.NaN,
    Number.POSITIVE_INFINITY,
    [["a"]],
    [null],
    "a\0b",
    "\ud800",
    Uint8Array.of(1, 0),
    { raw: "\0" },
    ["\0"],
    [{ raw: "a" }],
  ];
  for (const value of wrong) {
    const { issues } = refusal(["echo ", " ", ""], "fine", value);
    assert.equal(issues[0]?.field, "$");
    assert.match(issues[0]?.problem ?? "", /^value 2, after "echo fine ", /, String(value));
  }
  assert.match(refusal(["rm ", ""], undefined).message, /is undefined/);
});

test("shellScript() refuses values where they would not be one word, or could become code", () => {
  const places: Readonly<Record<string, readonly [string, string?]>> = {
    "single quotes": ["echo 'a ", "'"],
    "$'…'": ["echo $'a ", "'"],
    backticks: ["echo `cat ", "`"],
    "a parameter expansion": [`echo ${BRACE}x-`, "}"],
    "brackets behind a name": ["a[", "]=1"],
    "what follows a dollar sign": ["echo $", ""],
    "what follows a backslash": ["echo \\", ""],
    "a comment": ["echo # ", ""],
    "a here-document": ["cat <<E\n", "\nE"],
    "the delimiter of a here-document": ["cat <<", "\n"],
    "is no integer": ["echo $((", "))"],
    "what follows a ) behind case": ['echo "$(case a in a) echo "', '";; esac)"'],
    "what follows \\' in": ["echo $'\\'' ", ""],
    "a single quote in a parameter": [`echo "${BRACE}x-'}" `, ""],
  };
  for (const [where, [before, after = ""]] of Object.entries(places)) {
    const error = refusal([before, after], "a");
    assert.ok(error.message.includes(where), `${where}: ${error.message}`);
  }
  for (const quoted of ["((", '"$((', "$(( (1) + ", "$[ 1 + "]) refusal([quoted, ""], "x");
});

test("shellScript() refuses an array that other text touches", () => {
  for (const [before, after] of [
    ["x", ""],
    ["", "x"],
    ['"', '"'],
    ["> ", ""],
    ["A=", " b"],
    ["$((", "))"],
  ] as const)
    refusal([before, after], ["a"]);
  refusal(["", "", ""], ["a"], "b");
  refusal(["", "", ""], "b", ["a"]);
  for (const [before, after] of [
    ["", ""],
    ["(", ")"],
    ["a\t", "\n"],
    ["a;", ";b"],
    ["a ", "|b"],
    ["a ", ">b"],
  ] as const)
    shellScript(template(before, after), [["a"]]);
});

test("shellScript() puts integers into arithmetic as they are, and nothing else", () => {
  assert.equal(shellScript(template("echo $((1-", "))"), [-2]).text, "echo $((1-(-2)))");
  assert.equal(shellScript(template("echo $((", "))"), [2n ** 60n]).text, `echo $((${2n ** 60n}))`);
  for (const value of [1.5, 2 ** 53, "1", "a", [1]]) refusal(["echo $((", "))"], value);
});

test("shellScript() leaves backslashes to the shell, but for those that a template of JavaScript needs", () => {
  const text = (...raw: string[]) => shellScript(template(...raw), []).text;
  assert.equal(text("grep '\\.txt$' \\\n \\$x"), "grep '\\.txt$' \\\n \\$x");
  assert.equal(text(`\\\`id\\\` ${BRACE}HOME}`), `\`id\` ${BRACE.slice(1)}HOME}`);
  assert.equal(text("\\\\\\`"), "\\\\`");
});

test("shellScript() names a script as it would be written by hand, cut to a length", () => {
  const { label } = shellScript(template("tar xf ", ' -C "', '/x"\n'), ["it's a.tar", "/srv"]);
  assert.equal(label, "tar xf 'it'\\''s a.tar' -C \"/srv/x\"");
  assert.equal(shellScript(template("echo ", ""), ["x".repeat(1000)]).label.length, 201);
});
