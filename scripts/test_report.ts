/**
 * Reads what test runners print: how many tests passed, and what is worth reading again of those that failed.
 *
 * @module
 */

/** Whose output it is; a command that counts nothing (`exit`) is one test. */
export type Runner = "bun" | "deno" | "exit";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Lines kept of each failed test, from its end: the error is there, and a log may be before it. */
const LINES_PER_FAILURE = 60;

/** What a runner counted. One that failed without counting a failure has failed once; one that ran nothing too. */
export function countOf(runner: Runner, text: string, code: number): Counts {
  const last = (pattern: RegExp) => Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
  if (runner === "exit") return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  const found =
    runner === "bun"
      ? {
          passed: last(/^ *(\d+) pass$/gm),
          failed: last(/^ *(\d+) fail$/gm),
          skipped: last(/^ *(\d+) skip$/gm),
        }
      : {
          passed: last(/\| (\d+) passed/g),
          failed: last(/\| (\d+) failed/g),
          skipped: last(/\| (\d+) ignored/g),
        };
  const isHonest = found.passed + found.failed > 0 && (code === 0 || found.failed > 0);
  return isHonest ? found : { ...found, failed: found.failed + 1 };
}

/** The part of a failed run's output that says what failed and why, so that nobody has to search for it. */
export function failuresOf(runner: Runner, text: string): string {
  const lines = text.trimEnd().split("\n");
  const found = runner === "bun" ? bunFailures(lines) : runner === "deno" ? denoFailures(lines) : [];
  return (found.length > 0 ? found : [lines.slice(-LINES_PER_FAILURE)]).flat().join("\n");
}

/** Bun prints a test's output and error before its result; results and names of files part one from the next. */
function bunFailures(lines: readonly string[]): string[][] {
  const failures: string[][] = [];
  let begin = 0;
  for (const [index, line] of lines.entries()) {
    if (line.startsWith("(fail) ")) {
      const from = Math.max(begin, index + 1 - LINES_PER_FAILURE);
      failures.push(lines.slice(from, index + 1));
    }
    if (/^\((pass|fail|skip|todo)\) |^\S+_test\.ts:$/.test(line)) begin = index + 1;
    // Bun lists failures once more at the end, without what led to them.
    if (/^\d+ tests? failed:$/.test(line)) break;
  }
  return failures;
}

/** Deno gathers errors under a heading of their own at the end. */
function denoFailures(lines: readonly string[]): string[][] {
  const begin = lines.lastIndexOf(" ERRORS ");
  return begin < 0 ? [] : [lines.slice(begin)];
}
