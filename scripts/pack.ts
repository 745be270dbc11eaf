/**
 * Packs this project as npm would publish it: the TypeScript sources, the guest's agents, and what describes them.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

type Manifest = Record<string, unknown> & {
  readonly name: string;
  readonly version: string;
  readonly optionalDependencies: Readonly<Record<string, string>>;
};
type DenoConfig = Record<string, unknown> & { readonly imports: Readonly<Record<string, string>> };

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Writes `microsandbox-VERSION.tgz` to `directory`, which it makes if it is missing. Gives the path. */
export function pack(directory: string): string {
  mkdirSync(directory, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "msb-pack-"));
  try {
    const sources = npmPack(ROOT, work);
    execFileSync("tar", ["-xzf", sources, "-C", work]);
    const unpacked = join(work, "package");
    writePackagedManifests(unpacked);
    return npmPack(unpacked, resolve(directory));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Writes the published manifests: the repository's, without what only development needs. */
function writePackagedManifests(unpacked: string): void {
  const {
    devDependencies: _development,
    scripts: _scripts,
    ...manifest
  } = readJson<Manifest>(join(ROOT, "package.json"));
  writeJson(join(unpacked, "package.json"), manifest);
  const {
    nodeModulesDir: _directory,
    publish: _publish,
    ...deno
  } = readJson<DenoConfig>(join(ROOT, "deno.json"));
  // `deno install` in the unpacked package gets what its configuration imports, but no optional dependencies.
  const natives = Object.entries(manifest["optionalDependencies"]).map(([name, version]) => [
    name,
    `npm:${name}@${version}`,
  ]);
  writeJson(join(unpacked, "deno.json"), {
    ...deno,
    imports: { ...deno.imports, ...Object.fromEntries(natives) },
  });
}

/** Runs `npm pack` in `directory`; gives the path of the archive, which it writes to `target`. */
function npmPack(directory: string, target: string): string {
  const args = ["pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", target];
  const output = execFileSync("npm", args, { cwd: directory, encoding: "utf8" });
  const [packed] = JSON.parse(output) as { filename: string }[];
  if (packed === undefined) throw new Error(`npm pack printed no file name: ${output}`);
  return join(target, packed.filename);
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

if (import.meta.main) console.log(pack(process.argv[2] ?? "."));
