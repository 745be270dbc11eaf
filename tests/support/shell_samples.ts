/**
 * Scripts of `$` that are made up at random, each with the words that it must write.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ShellValue, ShellWord } from "../../mod.ts";
import type { SeededRandom } from "./random.ts";

/** A template, its values, and what its script writes: each word, and a NUL byte behind it. */
export interface ShellSample {
  readonly strings: TemplateStringsArray;
  readonly values: readonly ShellValue[];
  readonly expected: Uint8Array;
}

/** The texts of a template as they are written, with one place for a value between two of them. */
export function template(...raw: string[]): TemplateStringsArray {
  return Object.assign([...raw], { raw });
}

/** What shells, `printf` and `test` are most likely to take for something else. */
const HOSTILE: readonly ShellWord[] = [
  "",
  " ",
  "  a  b  ",
  "\n",
  "a\n\nb\n",
  "\t",
  "'",
  '"',
  "'\"'",
  "`id`",
  "$(touch pwned)",
  "; touch pwned;",
  "$HOME",
  `${"$"}{HOME}`,
  "$((1+1))",
  "a[$(touch pwned)]",
  "*",
  "?",
  "[a-z]*",
  "{a,b}",
  "~",
  "~root",
  "#",
  "# not a comment",
  "!",
  "!!",
  "\\",
  "\\\\",
  "\\n",
  "a\\",
  "-n",
  "-e",
  "--",
  "--help",
  "=",
  "A=b",
  "%s%d",
  "<",
  ">pwned",
  "|",
  "&",
  "(",
  ")",
  "\u00e9\u20ac\u{1f600}",
  "\u2028",
  "\u001b[31m",
  "\u007f",
  "_msb_1",
  `${"$"}{_msb_1}`,
  0,
  -1,
  1.5,
  12345678901234567890n,
  Uint8Array.of(0xff),
  Uint8Array.of(0xc3, 0x28),
  Uint8Array.from({ length: 255 }, (_, index) => index + 1),
  Uint8Array.from({ length: 8 }, (_, index) => 0x81 + index), // what dash and busybox mark expansions with
  Uint8Array.of(0x5c, 0x81, 0x5c),
];

function someWord(random: SeededRandom): ShellWord {
  if (random.integer(0, 9) < 6) return random.pick(HOSTILE);
  const bytes = random.bytes(random.integer(0, 40)).filter((byte) => byte !== 0);
  return random.integer(0, 1) === 0 ? bytes : Buffer.from(bytes).toString("latin1");
}

function bytesOf(word: ShellWord): Buffer {
  return typeof word === "object" ? Buffer.from(word) : Buffer.from(String(word));
}

function words(...expected: readonly (readonly (ShellWord | string)[])[]): Buffer {
  return Buffer.concat(expected.flatMap((parts) => [...parts.map(bytesOf), Buffer.of(0)]));
}

interface Fragment {
  readonly raw: readonly string[];
  readonly values: readonly ShellValue[];
  readonly expected: Buffer;
}

const SHOW = "printf '%s\\0'";

/** Each makes a piece of script out of one or two words. All are right in dash, bash and busybox. */
const FRAGMENTS: readonly ((a: ShellWord, b: ShellWord) => Fragment)[] = [
  (a, b) => ({ raw: [`${SHOW} `, " ", ""], values: [a, b], expected: words([a], [b]) }),
  (a, b) => ({ raw: [`${SHOW} x`, "y", "z"], values: [a, b], expected: words(["x", a, "y", b, "z"]) }),
  (a, b) => ({ raw: [`${SHOW} `, "", ""], values: [a, b], expected: words([a, b]) }),
  (a, b) => ({ raw: [`${SHOW} "a `, ' b" "', '"'], values: [a, b], expected: words(["a ", a, " b"], [b]) }),
  (a, b) => ({ raw: [`${SHOW} `, ""], values: [[a, b, a]], expected: words([a], [b], [a]) }),
  () => ({ raw: [`${SHOW} x `, " y"], values: [[]], expected: words(["x"], ["y"]) }),
  (a) => ({ raw: [`${SHOW} "$(printf '%s.' `, ')"'], values: [a], expected: words([a, "."]) }),
  (a) => ({
    raw: [`${SHOW} "-$(printf '%s.' "x `, '" # ")\n)-"'],
    values: [a],
    expected: words(["-x ", a, ".-"]),
  }),
  (a, b) => ({
    raw: [`${SHOW} "$( ( printf '%s.' `, ` ); f() ( printf '%s.' "$1" ); f `, ' )"'],
    values: [a, b],
    expected: words([a, ".", b, "."]),
  }),
  (a) => ({ raw: [`: $$'\\'; ${SHOW} `, ""], values: [a], expected: words([a]) }),
  (a, b) => ({ raw: ["A=", " B=x", `; ${SHOW} "$A" "$B"`], values: [a, b], expected: words([a], ["x", b]) }),
  (a, b) => ({ raw: [`for i in `, `; do ${SHOW} "$i"; done`], values: [[a, b]], expected: words([a], [b]) }),
  (a) => ({ raw: [`f() { ${SHOW} "$1" `, "; }; f arg"], values: [a], expected: words(["arg"], [a]) }),
  (a) => ({ raw: [`${SHOW} 'it"s '`, "' $x `y` '"], values: [a], expected: words(['it"s ', a, " $x `y` "]) }),
  (a) => ({ raw: [`${SHOW} \\'`, '\\"\\$ \\\\'], values: [a], expected: words(["'", a, '"$'], ["\\"]) }),
  (a) => ({ raw: [`: # don't "$( \\\n${SHOW} `, ""], values: [a], expected: words([a]) }),
  (a) => ({ raw: [`: \\\n# it's\n${SHOW} `, ""], values: [a], expected: words([a]) }),
  (a) => ({
    raw: [`cat > /dev/null << 'E N'\nit's " $( \`\nE N \nE N\n${SHOW} `, ""],
    values: [a],
    expected: words([a]),
  }),
  (a) => ({
    raw: [`cat > /dev/null <<-E; ${SHOW} `, "\nit's\n\t\tE\n:"],
    values: [a],
    expected: words([a]),
  }),
  (a) => ({ raw: [`case a in a) ${SHOW} `, ";; b) ;; esac"], values: [a], expected: words([a]) }),
  (a) => ({
    raw: [`case `, ` in '') ${SHOW} empty;; *) ${SHOW} full;; esac`],
    values: [a],
    expected: words([bytesOf(a).length === 0 ? "empty" : "full"]),
  }),
  (a) => ({ raw: [`( ( ${SHOW} `, " ) )"], values: [a], expected: words([a]) }),
  (a) => ({
    raw: [`${SHOW} "\\\${NOPE-d} \\\`echo hi\\\`" $((1 << 2)) `, ""],
    values: [a],
    expected: words(["d hi"], ["4"], [a]),
  }),
  (a) => ({ raw: [`${SHOW} \\\${NOPE-'}"'} `, ""], values: [a], expected: words(['}"'], [a]) }),
  (a) => ({ raw: ["set -- ", `; ${SHOW} "$#" "$@"`], values: [a], expected: words(["1"], [a]) }),
  (a) => ({ raw: ["", " y ", ""], values: [{ raw: `${SHOW} 'x'` }, a], expected: words(["x"], ["y"], [a]) }),
];

/** A script of some fragments, one a line. */
export function shellSample(random: SeededRandom, fragments: number): ShellSample {
  const raw = [""];
  const values: ShellValue[] = [];
  const expected: Buffer[] = [];
  for (let count = 0; count < fragments; count++) {
    const fragment = random.pick(FRAGMENTS)(someWord(random), someWord(random));
    const [first = "", ...rest] = fragment.raw;
    raw.push(`${raw.pop()}${first}`, ...rest);
    raw.push(`${raw.pop()}\n`);
    values.push(...fragment.values);
    expected.push(fragment.expected);
  }
  return { strings: template(...raw), values, expected: Buffer.concat(expected) };
}
