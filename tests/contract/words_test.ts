/** Pages and comments speak plain English: the words over which a native reader stumbles stay out. @module */
import assert from "node:assert/strict";
import { markdownPages } from "../docs/samples.ts";
import { test } from "../support/harness.ts";
import { modulesBelow, readModule } from "./source_files.ts";

/** What not to write, with what to write instead. */
const WORDS: Readonly<Record<string, { readonly pattern: RegExp; readonly instead: string }>> = {
  whoever: { pattern: /\bwhoever\b/gi, instead: "the caller, the process, anyone who" },
  nobody: { pattern: /\bnobody\b(?![:`])/gi, instead: "no process, no client, none" },
  anew: { pattern: /\banew\b/gi, instead: "again" },
  meanwhile: { pattern: /\bmeanwhile\b/gi, instead: "in the meantime, or nothing" },
  "by now": { pattern: /\bby now\b/gi, instead: "already" },
  "of itself": { pattern: /\bof itself\b/gi, instead: "its own" },
  "in order": {
    pattern:
      /\b(?:end|stop|unmount)\w*(?: (?:it|a sandbox|the sandbox|what is going on))?,? in order\b(?! (?:to|of)\b)/gi,
    instead: "gracefully, or cleanly",
  },
};

for (const [word, { pattern, instead }] of Object.entries(WORDS)) {
  test(`pages do not say "${word}"`, () => {
    const found = markdownPages().flatMap((page) => linesWith(page, pattern));
    assert.deepEqual(found, [], `write ${instead}`);
  });

  test(`source does not say "${word}"`, () => {
    const found = ["mod.ts", ...modulesBelow("src")].flatMap((file) => linesWith(file, pattern));
    assert.deepEqual(found, [], `write ${instead}`);
  });
}

function linesWith(file: string, pattern: RegExp): string[] {
  return readModule(file)
    .split("\n")
    .flatMap((line, index) => (line.match(pattern) === null ? [] : [`${file}:${index + 1}: ${line.trim()}`]));
}
