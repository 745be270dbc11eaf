/** The languages of `runCode()`: which program runs them, and how it is spoken to. @module */
import { JAVASCRIPT_DRIVER } from "./javascript_driver.ts";
import { PYTHON_DRIVER } from "./python_driver.ts";
import { SHELL_DRIVER } from "./shell_driver.ts";

/** A language that `runCode()` runs. */
export type CodeLanguage = "python" | "javascript" | "sh";

/** How one language is run. */
export interface Language {
  /** The program that is looked for in the `PATH` of the sandbox. */
  readonly interpreter: string;
  readonly args: readonly string[];
  /** Whether SIGINT ends the code and leaves the interpreter: a shell would go on with the next command. */
  readonly isInterruptible: boolean;
  /** Images that have it, for a hint. */
  readonly images: string;
  /** One call, as one line. */
  encodeRequest(nonce: string, source: string): string;
}

const encodeJson = (nonce: string, source: string) => `${JSON.stringify({ nonce, source })}\n`;

/** All of them. */
export const LANGUAGES: Readonly<Record<CodeLanguage, Language>> = {
  python: {
    interpreter: "python3",
    args: ["-c", PYTHON_DRIVER],
    isInterruptible: true,
    images: "python:3-alpine or python:3-slim",
    encodeRequest: encodeJson,
  },
  javascript: {
    interpreter: "node",
    args: ["-e", JAVASCRIPT_DRIVER],
    isInterruptible: true,
    images: "node:22-alpine or node:22-slim",
    encodeRequest: encodeJson,
  },
  sh: {
    interpreter: "sh",
    args: ["-c", SHELL_DRIVER],
    isInterruptible: false,
    images: "alpine, busybox or debian",
    encodeRequest: (nonce, source) =>
      `${nonce.slice(0, nonce.length / 2)} ${nonce.slice(nonce.length / 2)} ${escapeForPrintf(source)}\n`,
  },
};

/** What `printf %b` turns into `source` again. `read` would drop spaces at the beginning. */
function escapeForPrintf(source: string): string {
  const escaped = source.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `${escaped.replace(/^ +/, (spaces) => "\\0040".repeat(spaces.length))}\\n`;
}
