/**
 * Files that come with this package: the guest's agents, and modules that run in processes of their own.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Bytes } from "../base/bytes.ts";
import { IoError, UnsupportedError } from "../base/errors.ts";
import { checkTrusted } from "./trust.ts";

/** The names under which this package is installed: from npm, and from JSR. */
const PACKAGE_NAMES = ["microsandbox", "@microsandbox/microsandbox"];
/** The directory in which a program made by `bun build --compile` sees its own modules. */
const BUN_COMPILED = "/$bunfs/";
/** Far above any real depth; a bound on the walk to the root. */
const DIRECTORY_DEPTH_MAX = 256;

/**
 * Finds a file of this package. A bundler puts modules into one file and leaves the other files behind. For a bundle, or a
 * compiled program, the file comes from the package that is installed in the nearest `node_modules` above it.
 *
 * @param url Where the file is if the modules of this package run where they were installed.
 * @param path Its path in the package.
 * @param bundle The file that this module is in.
 * @throws {UnsupportedError} if there is no such file.
 * @throws {UntrustedPathError} if another user could have created the installed file, or could replace it.
 */
export function packagedFile(url: URL, path: string, bundle: string = import.meta.url): URL {
  if (url.protocol !== "file:") return url; // a module that Deno runs from the network
  const running = fileURLToPath(bundle);
  const isCompiled = running.startsWith(BUN_COMPILED);
  if (!isCompiled && existsSync(fileURLToPath(url))) return url;
  const start = dirname(isCompiled ? process.execPath : running);
  for (const directory of ancestors(start)) {
    for (const name of PACKAGE_NAMES) {
      const installed = join(directory, "node_modules", name, path);
      if (existsSync(installed)) return pathToFileURL(checkTrusted(installed));
    }
  }
  throw new UnsupportedError(`Cannot find ${path} of the package microsandbox in or above ${start}`, {
    hint: "a bundled or compiled program needs the package beside it: install microsandbox there",
  });
}

/** The bytes of a file of this package. See {@linkcode packagedFile} for the parameters. */
export async function readAsset(url: URL, path: string): Promise<Bytes> {
  const found = packagedFile(url, path);
  try {
    if (found.protocol === "file:") return new Uint8Array(await readFile(found));
    const response = await fetch(found);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new IoError(`read ${found.href}`, found.href, error);
  }
}

/** A directory and those above it, up to the root. */
export function* ancestors(directory: string): Generator<string> {
  let current = directory;
  for (let depth = 0; depth < DIRECTORY_DEPTH_MAX; depth++) {
    yield current;
    const parent = dirname(current);
    if (parent === current) return;
    current = parent;
  }
}
