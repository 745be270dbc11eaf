/**
 * The code samples of this project: every block marked as TypeScript in a Markdown page or in a doc comment.
 *
 * What stands after the language in a block's first line says how the sample is tested:
 *
 *     ```ts                   is type-checked, and run with a VM: twice, as a reader might
 *     ```ts no-vm             is type-checked, and run without one
 *     ```ts no-run: REASON    is type-checked only
 *     ```ts continued         goes on from the sample before it on the page
 *     ```ts with web          needs a running sandbox called "web"; `with stopped web` needs one that has ended
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../contract/source_files.ts";

/** How a sample is tested. */
export type SampleMode = "vm" | "no-vm" | "no-run";

/** One program: a block with those that continue it. */
export interface Sample {
  /** The page or module, from the project's directory. */
  readonly file: string;
  /** Line of the first line of code, from 1. */
  readonly line: number;
  readonly mode: SampleMode;
  /** Name of the sandbox that must exist before. */
  readonly given: string | undefined;
  /** Whether `given` has ended before the sample begins. */
  readonly isGivenStopped: boolean;
  readonly code: string;
  /** In a doc comment, what the module and the library export needs no import. */
  readonly isComment: boolean;
}

const BLOCK = /^```(?:ts|typescript)\b(?<info>[^\n]*)\n(?<code>[\s\S]*?)^```/gm;
const COMMENT = /^(?<indent> *)\/\*\*(?<body>[\s\S]*?)\*\//gm;
const INFO =
  /^(?:no-vm|no-run: (?<reason>.{10,})|(?<continued>continued)|with (?<stopped>stopped )?(?<given>[a-z0-9-]+))?$/;

/** Every sample of the Markdown pages and modules of this project. */
export function allSamples(): Sample[] {
  const pages = markdownPages().flatMap((file) =>
    samplesOfPage(file, readFileSync(join(ROOT, file), "utf8")),
  );
  const modules = ["mod.ts", ...filesBelow("src", ".ts")];
  const comments = modules.flatMap((file) => samplesOfModule(file, readFileSync(join(ROOT, file), "utf8")));
  return [...pages, ...comments];
}

/** The Markdown pages at the top and below `docs`. */
export function markdownPages(): string[] {
  const top = readdirSync(ROOT).filter((name) => name.endsWith(".md"));
  return [...top.sort(), ...filesBelow("docs", ".md"), ...filesBelow(".github", ".md")];
}

function filesBelow(directory: string, ending: string): string[] {
  return readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(directory, name))
    .sort();
}

/** The samples of a Markdown page. */
export function samplesOfPage(file: string, text: string): Sample[] {
  return blocksOf(file, text, 1, false);
}

/** The samples in the doc comments of a module. */
export function samplesOfModule(file: string, text: string): Sample[] {
  return [...text.matchAll(COMMENT)].flatMap((match) => {
    const { body = "" } = match.groups ?? {};
    const plain = body.replaceAll(/^ *\* ?/gm, "");
    return blocksOf(file, plain, text.slice(0, match.index).split("\n").length, true);
  });
}

function blocksOf(file: string, text: string, firstLine: number, isComment: boolean): Sample[] {
  const samples: Sample[] = [];
  for (const match of text.matchAll(BLOCK)) {
    const { info = "", code = "" } = match.groups ?? {};
    const line = firstLine + text.slice(0, match.index).split("\n").length;
    const found = INFO.exec(info.trim());
    if (found === null)
      throw new Error(`${file}:${line - 1}: cannot read "${info.trim()}" after the language`);
    const { reason, continued, stopped, given } = found.groups ?? {};
    const before = samples.at(-1);
    if (continued !== undefined) {
      if (before === undefined) throw new Error(`${file}:${line - 1}: there is no sample to continue`);
      samples[samples.length - 1] = { ...before, code: `${before.code}\n${code}` };
      continue;
    }
    const mode = reason !== undefined ? "no-run" : info.trim() === "no-vm" ? "no-vm" : "vm";
    samples.push({ file, line, mode, given, isGivenStopped: stopped !== undefined, code, isComment });
  }
  return samples;
}
