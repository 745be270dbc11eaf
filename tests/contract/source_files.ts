/**
 * The project's own modules as the contract tests see them: paths, texts, and what imports what.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's directory. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** One `import` or `export … from`, or a dynamic `import()`. */
export interface ImportSite {
  /** The importing module, from the project's directory. */
  readonly file: string;
  readonly line: number;
  /** A module of ours from the project's directory, or the specifier of anybody else's. */
  readonly target: string;
  readonly isOurs: boolean;
  /** Erased by the compiler: types only. */
  readonly isTypeOnly: boolean;
}

/** Every module below `directory`, from the project's directory. */
export function modulesBelow(directory: string): string[] {
  return readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(directory, name))
    .sort();
}

export function readModule(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

const STATEMENT =
  /^(?:import|export)\s+(?<clause>[^"';]*?)\s*from\s+"(?<from>[^"]+)"|^import\s+"(?<bare>[^"]+)"|\bimport\(\s*"(?<dynamic>[^"]+)"|\bnew URL\(\s*"(?<url>\.[^"]+\.ts)"/gm;

/** What `file` imports. A module that is named by URL (a Worker, a process) counts as imported only if asked for. */
export function importsOf(file: string, { byUrl = false }: { byUrl?: boolean } = {}): ImportSite[] {
  const text = withoutComments(readModule(file));
  const sites: ImportSite[] = [];
  for (const match of text.matchAll(STATEMENT)) {
    const { clause = "", from, bare, dynamic, url } = match.groups ?? {};
    const specifier = from ?? bare ?? dynamic ?? (byUrl ? url : undefined);
    if (specifier === undefined) continue;
    const isOurs = specifier.startsWith(".");
    sites.push({
      file,
      line: text.slice(0, match.index).split("\n").length,
      target: isOurs ? relative(ROOT, join(ROOT, dirname(file), specifier)) : specifier,
      isOurs,
      isTypeOnly: isTypeClause(clause),
    });
  }
  return sites;
}

/** `type X`, or braces in which every name is a `type`. */
function isTypeClause(clause: string): boolean {
  if (/^type\b/.test(clause)) return true;
  const names = /^\{(?<names>[^}]*)\}$/.exec(clause.trim())?.groups?.["names"];
  if (names === undefined) return false;
  return names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .every((name) => name.startsWith("type "));
}

/** The same text with its comments blanked, so that lines keep their numbers. Strings with `//` stay as they are. */
export function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replaceAll(/[^\n]/g, " ");
  return text.replaceAll(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (token) =>
    token.startsWith("/") ? blank(token) : token,
  );
}

/** All modules of ours that run when `entry` is loaded, and those imports of theirs that are nobody's of ours. */
export function reachableFrom(entry: string): { modules: Set<string>; foreign: ImportSite[] } {
  const modules = new Set<string>();
  const foreign: ImportSite[] = [];
  const visit = (file: string) => {
    if (modules.has(file)) return;
    modules.add(file);
    for (const site of importsOf(file)) {
      if (site.isTypeOnly) continue;
      if (site.isOurs) visit(site.target);
      else foreign.push(site);
    }
  };
  visit(entry);
  return { modules, foreign };
}
