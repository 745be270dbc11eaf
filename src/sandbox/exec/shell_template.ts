/**
 * A template of `$` as a script and its values. A value never becomes text of the script: it is an argument of the shell,
 * and the script names the variable that holds it. So nothing in a value can be taken for code.
 *
 * @module
 */
import { decodeUtf8 } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { type ExecArgument, wordProblem } from "./exec_options.ts";
import { type ShellPlace, ShellReader } from "./shell_place.ts";

/** A value of a `$` template that is one word: text, a number, or bytes, for what is not UTF-8. */
export type ShellWord = string | number | bigint | Uint8Array;

/**
 * What a `$` template takes as a value: a word, an array of words, or `{ raw: text }`, which is put into the script as it
 * is, and is code of the shell.
 */
export type ShellValue = ShellWord | readonly ShellWord[] | { readonly raw: string };

/** A script for `sh -c`, with the arguments that hold its values. */
export interface ShellScript {
  readonly text: string;
  readonly words: readonly ExecArgument[];
  /** The script as a person would write it, for errors. */
  readonly label: string;
}

/** A longer script is cut in errors. */
const LABEL_CHARS_MAX = 200;
/** How much of the script is shown in front of a value that is refused. */
const BEFORE_CHARS_MAX = 30;

const KINDS_HINT = "give a string, a number, bytes, an array of them, or { raw: text }";
const ARRAY_HINT = "set the array apart by blanks, or join() it to one text";

/** Why a value cannot stand where it does, and what to do. */
interface Refusal {
  readonly problem: string;
  readonly hint?: string | undefined;
}

/** @throws {InvalidConfigError} if a value has another type, or stands where it would not be one word. */
export function shellScript(strings: TemplateStringsArray, values: readonly unknown[]): ShellScript {
  const template = new Template();
  for (const [index, raw] of strings.raw.entries()) {
    template.addText(unescaped(raw));
    if (index < values.length)
      template.addValue(values[index], strings.raw[index + 1] ?? "", index + 1 < values.length);
  }
  return template.finish();
}

/**
 * What the caller wrote is what the shell reads: a backslash is the shell's, but for the two that JavaScript wants in a
 * template, in front of a backtick and of a dollar sign with a brace.
 */
function unescaped(raw: string): string {
  return raw.replace(/\\(\\|`|\$\{)/g, (pair, escaped: string) => (escaped === "\\" ? pair : escaped));
}

class Template {
  #text = "";
  #label = "";
  #values = 0;
  readonly #words: ExecArgument[] = [];
  readonly #reader = new ShellReader();

  addText(text: string): void {
    const problem = wordProblem(text);
    if (problem !== undefined) this.#refuse({ problem });
    this.#text += text;
    this.#label += text;
    this.#reader.read(text);
  }

  /** @param next The text behind it, and `isFollowed` whether there is another value behind that. */
  addValue(value: unknown, next: string, isFollowed: boolean): void {
    this.#values++;
    if (isRaw(value)) return this.addText(value.raw);
    const { place } = this.#reader;
    if (place.kind === "refused")
      this.#refuse({ problem: `cannot stand in ${place.where}`, hint: place.hint });
    if (Array.isArray(value)) {
      const isApart = place.kind === "plain" && place.startsWord && !/[<>]&?[ \t]*$/.test(this.#text);
      const endsApart = next === "" ? !isFollowed : /^[ \t\n;|&)<>]/.test(next);
      if (!isApart || !endsApart)
        this.#refuse({ problem: "is an array beside other text", hint: ARRAY_HINT });
      for (const [index, item] of value.entries()) {
        if (index > 0) this.#add(" ", " ");
        this.#addWord(item, place);
      }
    } else this.#addWord(value, place);
    this.#reader.passValue();
  }

  finish(): ShellScript {
    const { length } = this.#words;
    const names = this.#words.map((_, index) => `${variable(index + 1)}=\${${index + 1}}`);
    const label = this.#label.trim();
    return {
      // On one line with the script, so that the shell's messages count the script's lines.
      text: length === 0 ? this.#text : `${names.join(" ")}; shift ${length}; ${this.#text}`,
      words: this.#words,
      label: label.length > LABEL_CHARS_MAX ? `${label.slice(0, LABEL_CHARS_MAX)}…` : label,
    };
  }

  #addWord(value: unknown, place: ShellPlace): void {
    if (place.kind === "arithmetic") {
      const number = arithmetic(value);
      if (number === undefined) this.#refuse({ problem: "is no integer, but stands in $((…))" });
      else this.#add(number, number);
      return;
    }
    const word = argument(value);
    if (word === undefined) this.#refuse({ problem: `is ${describe(value)}`, hint: KINDS_HINT });
    const problem = wordProblem(word);
    if (problem !== undefined) this.#refuse({ problem });
    this.#words.push(word);
    const name = `\${${variable(this.#words.length)}}`;
    const shown = typeof word === "string" ? word : decodeUtf8(word);
    if (place.kind === "doubleQuotes") this.#add(name, shown);
    else this.#add(`"${name}"`, quoted(shown));
  }

  #add(text: string, label: string): void {
    this.#text += text;
    this.#label += label;
  }

  #refuse({ problem, hint }: Refusal): never {
    const before = this.#label.slice(-BEFORE_CHARS_MAX);
    const dots = before.length < this.#label.length ? "…" : "";
    const where =
      this.#values === 0 ? "the text" : `value ${this.#values}, after ${JSON.stringify(dots + before)},`;
    throw new InvalidConfigError([{ field: "$", problem: `${where} ${problem}` }], { hint });
  }
}

/** No word of a script is likely to have such a name, and programs do not see it: it is not exported. */
function variable(number: number): string {
  return `_msb_${number}`;
}

function isRaw(value: unknown): value is { readonly raw: string } {
  if (typeof value !== "object" || value === null || !("raw" in value)) return false;
  return typeof value.raw === "string" && Object.keys(value).length === 1;
}

/** A value as an argument; `undefined` if it is none. */
function argument(value: unknown): ExecArgument | undefined {
  if (typeof value === "string" || value instanceof Uint8Array) return value;
  const isNumber = typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value));
  return isNumber ? String(value) : undefined;
}

/** A number for `$((…))`, where anything else could be code; in parentheses if it has a sign. */
function arithmetic(value: unknown): string | undefined {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) return undefined;
  return Number(value) < 0 || Object.is(value, -0) ? `(${value})` : String(value);
}

function describe(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  return Array.isArray(value) ? "an array in an array" : "an object";
}

/** As a person would write it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
