/**
 * Finds the files of libkrun and libkrunfw without loading anything: what the caller or the environment names, what
 * the system's loader would take, and npm packages that were installed along with this one.
 *
 * A library runs its own code as soon as it is loaded. So the working directory, which may belong to anyone, is not
 * searched, and a library must pass `checkTrusted()`: no other user could have created it or could replace it.
 *
 * @module
 */
import {
  closeSync,
  constants,
  existsSync,
  readdirSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeUtf8, MiB } from "../base/bytes.ts";
import { errnoOf, IoError, UnsupportedError } from "../base/errors.ts";
import { ancestors, packagedFile } from "../platform/asset.ts";
import { openRegularSync } from "../platform/regular_file.ts";
import { checkTrusted, UntrustedPathError } from "../platform/trust.ts";
import { namesFunction } from "./elf_exports.ts";
import { LibkrunfwNotFoundError, LibkrunNotFoundError } from "./errors.ts";
import { findInLoaderCache } from "./loader_cache.ts";

/** How much of a manifest is read: far more than one has. */
const MANIFEST_BYTES_MAX = 1 * MiB;

/** A library that was found, and how. */
export interface LibraryLocation {
  /** Absolute, with links resolved. */
  readonly path: string;
  readonly source: "option" | "environment" | "system" | "package";
  /** The option, variable, directory or package that led to it. */
  readonly origin: string;
  /** Every place that was searched, this one last. */
  readonly searched: readonly string[];
}

/** Where to search. Everything but `path` defaults to what this process has. */
export interface LibrarySearchOptions {
  /** A file, or a directory that holds it. If given, no other place is searched. */
  path?: string | undefined;
  /** @default {process.env} */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** A directory of the package whose dependencies may carry the library; `null` for none. @default this package's */
  moduleDirectory?: string | null | undefined;
  /** The loader's directories. @default {LD_LIBRARY_PATH, the loader's cache, the usual directories} */
  systemDirectories?: readonly string[] | undefined;
}

interface LibraryKind {
  readonly name: string;
  readonly option: string;
  readonly variable: string;
  /** The loader's name; a file name may continue with more numbers. */
  readonly soname: string;
  /** The loader's name of the release after that, which has other functions. */
  readonly tooNew?: string;
  /** Those that we can use. */
  readonly releases: string;
  /** A function that every release we can use has. */
  readonly requiredFunction: string;
  /** npm package for this machine, which has the library in its folder `lib`. */
  readonly packageName: string;
  readonly hint: string;
  readonly NotFoundError: typeof LibkrunNotFoundError | typeof LibkrunfwNotFoundError;
}

/** npm's names of processors are Node's own. */
const PLATFORM = `${process.platform}-${process.arch}`;

/** The releases whose functions `libkrun_symbols.ts` describes. */
export const LIBKRUN_RELEASES = "libkrun 1.17 to 1.19";

const LIBKRUN_PACKAGE = `@earendil-works/gondolin-krun-runner-${PLATFORM}`;
const LIBKRUNFW_PACKAGE = `@superradcompany/microsandbox-${PLATFORM}-gnu`;

const LIBKRUN: LibraryKind = {
  name: "libkrun",
  option: "libkrunPath",
  variable: "MSB_LIBKRUN",
  soname: "libkrun.so.1",
  tooNew: "libkrun.so.2",
  releases: LIBKRUN_RELEASES,
  requiredFunction: "krun_create_ctx",
  packageName: LIBKRUN_PACKAGE,
  hint: `add the npm package ${LIBKRUN_PACKAGE}, install ${LIBKRUN_RELEASES}, or set MSB_LIBKRUN to its file`,
  NotFoundError: LibkrunNotFoundError,
};

const LIBKRUNFW: LibraryKind = {
  name: "libkrunfw",
  option: "libkrunfwPath",
  variable: "MSB_LIBKRUNFW",
  soname: "libkrunfw.so.5",
  releases: "libkrunfw 5",
  requiredFunction: "krunfw_get_kernel",
  packageName: LIBKRUNFW_PACKAGE,
  hint: `add the npm package ${LIBKRUNFW_PACKAGE}, which npm skips on old releases of Node.js, install libkrunfw 5, or set MSB_LIBKRUNFW to its file`,
  NotFoundError: LibkrunfwNotFoundError,
};

/** What the loaders of common distributions search. */
const MULTIARCH = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
const USUAL_DIRECTORIES = [
  "/usr/local/lib64",
  "/usr/local/lib",
  `/usr/local/lib/${MULTIARCH}`,
  `/lib/${MULTIARCH}`,
  `/usr/lib/${MULTIARCH}`,
  "/lib64",
  "/usr/lib64",
  "/lib",
  "/usr/lib",
];

/**
 * Finds the file of libkrun 1.x. Order: `path`, `MSB_LIBKRUN`, the system's loader path, npm packages.
 *
 * @throws {LibkrunNotFoundError} which lists every place that was searched.
 * @throws {UntrustedPathError} if another user could have created the file, or could replace it.
 */
export function findLibkrun(options: LibrarySearchOptions = {}): LibraryLocation {
  return findLibrary(LIBKRUN, options);
}

/**
 * Finds the file of libkrunfw 5.x. Order: `path`, `MSB_LIBKRUNFW`, the system's loader path, npm packages.
 *
 * @throws {LibkrunfwNotFoundError} which lists every place that was searched.
 * @throws {UntrustedPathError} if another user could have created the file, or could replace it.
 */
export function findLibkrunfw(options: LibrarySearchOptions = {}): LibraryLocation {
  return findLibrary(LIBKRUNFW, options);
}

/** How to fix what keeps the loader from loading a library; `undefined` if its message says nothing that we know. */
export function loadFailureHint(loaderMessage: string): string | undefined {
  if (/ lacks .*krun_/.test(loaderMessage)) return `use ${LIBKRUN_RELEASES}`;
  const missing = /(\S+\.so[.\d]*): cannot open shared object file/.exec(loaderMessage)?.[1];
  if (missing === undefined) return undefined;
  if (missing.startsWith("libcap-ng.so")) return `libkrun needs ${missing}: apt-get install libcap-ng0`;
  return `it needs ${missing}, which is not on this system's loader path`;
}

type Candidate = Omit<LibraryLocation, "path" | "searched"> & { readonly place: string };

function findLibrary(kind: LibraryKind, options: LibrarySearchOptions): LibraryLocation {
  const searched: string[] = [];
  let refusal: Error | undefined; // why the first file that was found cannot be used
  // The owner of this package runs code here already, so their libraries are as safe as that.
  const root = packageRoot(options);
  const alsoUser = root === undefined ? undefined : statSync(root).uid;
  for (const { place, source, origin } of candidates(kind, kind.soname, options)) {
    searched.push(origin === place ? place : `${origin}: ${place}`);
    const found = resolvePlace(place, kind.soname);
    if (found === undefined) continue;
    try {
      const path = checkTrusted(found, { alsoUser });
      checkKind(kind, path, searched);
      return { path, source, origin, searched };
    } catch (error) {
      if (!(error instanceof UntrustedPathError || error instanceof kind.NotFoundError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal ?? notFound(kind, searched, options);
}

/** Refuses a file that is another library under this name, or a release with other functions. */
function checkKind(kind: LibraryKind, path: string, searched: readonly string[]): void {
  const { requiredFunction, releases, hint, NotFoundError } = kind;
  if (namesFunction(path, requiredFunction) !== false) return; // if it is not a library, the loader says so
  const reason = `it has no function ${requiredFunction}, and this release works with ${releases}`;
  throw new NotFoundError({ searched: [...searched], path, reason, hint });
}

function notFound(kind: LibraryKind, searched: readonly string[], options: LibrarySearchOptions): Error {
  const { tooNew, releases, hint, NotFoundError } = kind;
  if (tooNew !== undefined) {
    for (const { place } of candidates(kind, tooNew, options)) {
      const path = resolvePlace(place, tooNew);
      if (path === undefined) continue;
      const reason = `it is ${tooNew}, and this release works with ${releases}`;
      return new NotFoundError({ searched, path, reason, hint });
    }
  }
  const [first] = candidates(kind, kind.soname, options);
  const isNamed = first?.source === "option" || first?.source === "environment";
  return new NotFoundError({ searched, hint: isNamed ? `correct ${first.origin}, or leave it out` : hint });
}

/** Files and directories to search, best first. A place that the user named is the only one. */
function* candidates(kind: LibraryKind, soname: string, options: LibrarySearchOptions): Generator<Candidate> {
  const environment = options.environment ?? process.env;
  if (options.path !== undefined) {
    yield { place: options.path, source: "option", origin: kind.option };
    return;
  }
  const variable = environment[kind.variable];
  if (variable !== undefined && variable !== "") {
    yield { place: variable, source: "environment", origin: kind.variable };
    return;
  }
  for (const place of systemFiles(soname, environment, options.systemDirectories)) {
    yield { place, source: "system", origin: place };
  }
  const root = packageRoot(options);
  for (const directory of root === undefined ? [] : dependencyDirectories(root)) {
    yield { place: join(directory, kind.packageName, "lib"), source: "package", origin: kind.packageName };
  }
}

/** The files that the loader would take: it knows a library by this name alone, whatever other files are beside it. */
function* systemFiles(
  soname: string,
  environment: Readonly<Record<string, string | undefined>>,
  directories: readonly string[] | undefined,
): Generator<string> {
  if (directories === undefined) {
    const named = (environment["LD_LIBRARY_PATH"] ?? "").split(/[:;]/);
    for (const directory of named) if (directory.startsWith("/")) yield join(directory, soname);
    yield* findInLoaderCache(soname);
  }
  for (const directory of directories ?? USUAL_DIRECTORIES) yield join(directory, soname);
}

/** The package that a module belongs to, as runtimes see it: the next directory upward that has a `package.json`. */
function packageRoot({ moduleDirectory = ownDirectory() }: LibrarySearchOptions): string | undefined {
  if (moduleDirectory === null) return undefined;
  for (const directory of ancestors(realpathSync(moduleDirectory))) {
    if (existsSync(join(directory, "package.json"))) return directory;
  }
  return undefined;
}

/** The directory of this module as it is installed; `null` if Deno runs it from the network, or it is only in a bundle. */
function ownDirectory(): string | null {
  try {
    const own = packagedFile(new URL("./libkrun_symbols.ts", import.meta.url), "src/ffi/libkrun_symbols.ts");
    return own.protocol === "file:" ? dirname(fileURLToPath(own)) : null;
  } catch (error) {
    if (error instanceof UnsupportedError) return null;
    throw error;
  }
}

/**
 * Where a package manager puts what the package at `root` depends on: in the package, in a `node_modules` that the package
 * itself is in, or at the root of its workspace. This covers flat and nested trees, and the stores of pnpm, Bun and Deno,
 * where a package has links to its dependencies beside it.
 */
function dependencyDirectories(root: string): string[] {
  const above = [...ancestors(dirname(root))];
  const around = above.filter((directory) => basename(directory) === "node_modules");
  const workspace = above.find(isWorkspaceRoot);
  const places = workspace === undefined ? [root] : [root, workspace];
  return [...places.map((directory) => join(directory, "node_modules")), ...around];
}

/** Whether a directory names members of a workspace, as npm, Bun and Deno have it, or pnpm. */
function isWorkspaceRoot(directory: string): boolean {
  if (existsSync(join(directory, "pnpm-workspace.yaml"))) return true;
  // Not parsed, since such a file may have comments. A wrong guess only adds a place, which must be trusted like the others.
  return ["deno.json", "deno.jsonc", "package.json"].some((name) =>
    /"workspaces?"\s*:/.test(manifestText(join(directory, name))),
  );
}

/**
 * The beginning of a manifest; `""` for anything else. Another user may have put the file there: it is neither waited for,
 * as a FIFO would be, nor read without limit, and one that cannot be read is no workspace's.
 */
function manifestText(path: string): string {
  let file: number;
  try {
    file = openRegularSync(path, constants.O_RDONLY);
  } catch {
    return "";
  }
  try {
    const bytes = new Uint8Array(MANIFEST_BYTES_MAX);
    return decodeUtf8(bytes.subarray(0, readSync(file, bytes)));
  } catch {
    return "";
  } finally {
    closeSync(file);
  }
}

/** The library at `place`, which is the file itself or a directory that holds it. Links are left as they are. */
function resolvePlace(place: string, soname: string): string | undefined {
  const status = statusOf(place);
  if (status?.isFile()) return place;
  if (!status?.isDirectory()) return undefined;
  const name = bestFileName(listDirectory(place), soname);
  return name === undefined ? undefined : join(place, name);
}

function statusOf(place: string): Stats | undefined {
  try {
    return statSync(place, { throwIfNoEntry: false });
  } catch (error) {
    if (isUnreachable(error)) return undefined;
    throw new IoError(`examine ${place}`, place, error);
  }
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isUnreachable(error)) return [];
    throw new IoError(`read ${path}`, path, error);
  }
}

/** Whether a file does not exist, or not for this user. Other errors, such as `EMFILE`, say nothing about the file. */
function isUnreachable(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG"].includes(errnoOf(error) ?? "");
}

/** `soname` itself, else the highest release of it, e.g. `libkrunfw.so.5.10.0` before `libkrunfw.so.5.9.1`. */
function bestFileName(names: readonly string[], soname: string): string | undefined {
  if (names.includes(soname)) return soname;
  const releases = names.filter(
    (name) => name.startsWith(`${soname}.`) && /^[\d.]+$/.test(name.slice(soname.length)),
  );
  return releases.sort((left, right) => left.localeCompare(right, "en", { numeric: true })).at(-1);
}
