/** Links between the pages lead to files and headings that exist. @module */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { markdownPages } from "../docs/samples.ts";
import { test } from "../support/harness.ts";
import { ROOT } from "./source_files.ts";

const LINK = /(?<!!)\[[^\]]*\]\((?<target>[^()\s]+)\)/g;
const HEADING = /^#{1,6} +(?<title>.+?) *#*$/gm;
const FENCE = /^( *)```[\s\S]*?^\1```/gm;

/** What is wrong with the links of a page; `anchorsOf` gives the anchors of a page that exists. */
function brokenLinks(
  page: string,
  text: string,
  anchorsOf: (path: string) => readonly string[] | undefined,
): string[] {
  const problems: string[] = [];
  for (const { groups } of withoutCode(text).matchAll(LINK)) {
    const target = groups?.["target"] ?? "";
    if (/^[a-z]+:/.test(target)) continue; // elsewhere
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path));
    const anchors = anchorsOf(file);
    if (anchors === undefined) problems.push(`${page}: ${target}: there is no such file`);
    else if (anchor !== undefined && !anchors.includes(anchor))
      problems.push(`${page}: ${target}: there is no such heading`);
  }
  return problems;
}

/** GitHub's names for the headings of a page. */
function anchorsOfText(text: string): string[] {
  const seen = new Map<string, number>();
  return [...withoutCode(text).matchAll(HEADING)].map(({ groups }) => {
    const plain = (groups?.["title"] ?? "").replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const anchor = plain
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-");
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

function withoutCode(text: string): string {
  return text.replaceAll(FENCE, "");
}

test("every relative link in the Markdown pages leads to a file, and to a heading of it", () => {
  const anchorsOf = (path: string) => {
    const absolute = join(ROOT, path);
    if (!existsSync(absolute)) return undefined;
    return path.endsWith(".md") ? anchorsOfText(readFileSync(absolute, "utf8")) : [];
  };
  const problems = markdownPages()
    // Paths in the forms are relative to where GitHub shows them.
    .filter((page) => !page.startsWith(".github/"))
    .flatMap((page) => brokenLinks(page, readFileSync(join(ROOT, page), "utf8"), anchorsOf));
  assert.deepEqual(problems, []);
});

test("brokenLinks() finds files and headings that are missing, and passes over code and other sites", () => {
  const pages: Record<string, readonly string[]> = { "docs/a.md": ["here"], "b.md": ["there", "there-1"] };
  const text = [
    "[ok](../b.md#there-1) [ok](#here) [ok](https://example.com/x#y) [ok](../b.md)",
    "[bad](c.md) [bad](#absent) [bad](../b.md#gone)",
    "```text",
    "[code](nowhere.md)",
    "```",
  ].join("\n");
  assert.deepEqual(
    brokenLinks("docs/a.md", text, (path) => pages[path]),
    [
      "docs/a.md: c.md: there is no such file",
      "docs/a.md: #absent: there is no such heading",
      "docs/a.md: ../b.md#gone: there is no such heading",
    ],
  );
});

test("anchorsOfText() names headings as GitHub does", () => {
  const text =
    "# The `msb` command: 1.0!\n## [Links](x.md) too\n## Twice\n## Twice\n```sh\n# no heading\n```\n";
  assert.deepEqual(anchorsOfText(text), ["the-msb-command-10", "links-too", "twice", "twice-1"]);
});

/** A path of this project in backquotes: `src/logs`, `tests/unit/logs/cursor_test.ts`. */
const NAMED_PATH = /`(?<path>(?:src|tests|guest|scripts|docs|bench|examples|\.ci|\.github)\/[\w./-]+)[^`]*`/g;
test("every path of this project that a page names in backquotes exists", () => {
  const missing = markdownPages().flatMap((page) => {
    const text = withoutCode(readFileSync(join(ROOT, page), "utf8"));
    return [...text.matchAll(NAMED_PATH)]
      .map(({ groups }) => groups?.["path"] ?? "")
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${page}: ${path}`);
  });
  assert.deepEqual(missing, []);
});
