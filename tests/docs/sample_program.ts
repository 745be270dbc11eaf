/**
 * Makes programs of samples that the compiler takes and a runtime runs.
 *
 * They lie in `build/` of this project, where the runtimes resolve `microsandbox` to the project itself.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as api from "../../mod.ts";
import { ROOT, withoutComments } from "../contract/source_files.ts";
import type { Sample } from "./samples.ts";

/** A directory of programs, removed when `using` leaves its scope. */
export interface ProgramDirectory {
  readonly path: string;
  /** Writes the program of a sample; gives its path. */
  write(sample: Sample): string;
  [Symbol.dispose](): void;
}

export function programDirectory(): ProgramDirectory {
  mkdirSync(join(ROOT, "build"), { recursive: true });
  const path = mkdtempSync(join(ROOT, "build", "samples-"));
  return {
    path,
    write(sample) {
      const target = join(path, programName(sample));
      writeFileSync(target, programOf(sample));
      return target;
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** `docs/logs.md`, line 12 → `docs_logs_md_12.ts`: an error of the compiler names where to look. */
export function programName({ file, line }: Sample): string {
  return `${file.replaceAll(/[^A-Za-z0-9]+/g, "_")}_${line}.ts`;
}

/** The whole program: imports, what must be there before, and the sample itself. */
export function programOf(sample: Sample): string {
  const { imports, body } = splitImports(sample);
  const isSandboxMissing = uses(body, "sandbox") && !declares(body, "sandbox");
  const isGiven = sample.given !== undefined || (isSandboxMissing && sample.mode === "vm");
  const before: string[] = [];
  if (isGiven) {
    const variable = isSandboxMissing ? "sandbox" : "_given";
    const name = sample.given ?? "sandbox";
    imports.unshift('import { Sandbox as _Sandbox } from "microsandbox";');
    before.push(
      `await using ${variable} = await _Sandbox.builder("${name}").image("./rootfs").memory(128).replace().create();`,
      `await ${variable}.shell("echo hello; echo oops >&2");`,
    );
    if (sample.isGivenStopped) before.push(`await ${variable}.stop();`);
  } else if (isSandboxMissing) {
    imports.unshift('import type { Sandbox as _Sandbox } from "microsandbox";');
    before.push("declare const sandbox: _Sandbox;");
  }
  if (sample.isComment) imports.push(...missingImports(sample, imports.join("\n"), body));
  return [...imports, ...before, body.trim(), "export {};", ""].join("\n");
}

/** Imports come first, whichever block of a page they stand in; those of a comment are relative to its module. */
function splitImports({ code, file }: Sample): { imports: string[]; body: string } {
  const imports: string[] = [];
  const body = code.replaceAll(/^import [^;]*;\n?/gm, (statement) => {
    const absolute = (_: string, path: string) => `from "${join(ROOT, dirname(file), path)}"`;
    imports.push(statement.trim().replace(/from "(\.[^"]+)"/, absolute));
    return "";
  });
  return { imports: [...new Set(imports)], body };
}

/** What a sample in a comment uses without importing it: from the library, else from the module that it describes. */
function missingImports({ file }: Sample, imports: string, body: string): string[] {
  const needed = (name: string) => uses(body, name) && !declares(`${imports}\n${body}`, name);
  const library = Object.keys(api).filter(needed);
  const module = exportsOf(file)
    .filter(({ name }) => !(name in api))
    .filter(({ name }) => needed(name));
  const lines: string[] = [];
  if (library.length > 0) lines.push(`import { ${library.join(", ")} } from "microsandbox";`);
  for (const { name, isType } of module)
    lines.push(`import ${isType ? "type " : ""}{ ${name} } from "${join(ROOT, file)}";`);
  return lines;
}

const EXPORT =
  /^export (?:abstract |async )*(?<kind>class|function\*?|const|interface|type) (?<name>[A-Za-z]\w*)/gm;

function exportsOf(file: string): { name: string; isType: boolean }[] {
  return [...withoutComments(readFileSync(join(ROOT, file), "utf8")).matchAll(EXPORT)].map(({ groups }) => ({
    name: groups?.["name"] ?? "",
    isType: groups?.["kind"] === "interface" || groups?.["kind"] === "type",
  }));
}

function uses(code: string, name: string): boolean {
  const plain = withoutComments(code).replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
  return new RegExp(`(?<![.\\w])${name}\\b(?!:)`).test(plain);
}

function declares(code: string, name: string): boolean {
  const declaration = `\\b(?:const|let|using|class|function) ${name}\\b`;
  const inBraces = `[{,] (?:type )?${name}\\b(?! as )[^;={}]*\\} (?:=|from)`;
  return new RegExp(`${declaration}|${inBraces}`).test(withoutComments(code));
}
