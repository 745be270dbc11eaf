/**
 * Sets the version of this package, or prints it. `package.json` is the source; the others are written from it.
 *
 *     bun run version            # prints it
 *     bun run version 0.9.0      # writes it to package.json, deno.json and src/cli/version.ts
 *
 * `src/cli/version.ts` holds a copy instead of reading `package.json`, because a compiled program and a module that
 * Deno loads from a URL have no such file beside them. `tests/contract/version_test.ts` compares the three.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Semantic Versioning 2.0.0, without build metadata, which npm ignores. */
const VERSION = /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;

/** Each file that names the version, with the one place in it. */
const PLACES: readonly (readonly [file: string, place: RegExp])[] = [
  ["package.json", /(?<=^ {2}"version": ")[^"]*(?=",$)/m],
  ["deno.json", /(?<=^ {2}"version": ")[^"]*(?=",$)/m],
  ["src/cli/version.ts", /(?<=^export const VERSION = ")[^"]*(?=";$)/m],
];

/** What each file says, by its path below `root`. */
export function readVersions(root: string): Record<string, string | undefined> {
  return Object.fromEntries(
    PLACES.map(([file, place]) => [file, place.exec(readFileSync(join(root, file), "utf8"))?.[0]]),
  );
}

/** Writes `version` to every file that names it. Writes nothing if one of them cannot take it. */
export function writeVersion(root: string, version: string): void {
  if (!VERSION.test(version))
    throw new Error(`Cannot set the version: "${version}" is not of the form 1.2.3 or 1.2.3-beta.1`);
  const texts = PLACES.map(([file, place]) => {
    const path = join(root, file);
    const before = readFileSync(path, "utf8");
    if (!place.test(before)) throw new Error(`Cannot set the version: ${file} has no line for it`);
    return { path, after: before.replace(place, version) };
  });
  for (const { path, after } of texts) writeFileSync(path, after);
}

if (import.meta.main) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const [version] = process.argv.slice(2);
  try {
    if (version !== undefined) writeVersion(root, version);
    console.log(readVersions(root)["package.json"]);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
