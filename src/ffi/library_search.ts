/**
 * Finds the files of libkrun and libkrunfw without loading anything: what the caller or the environment names, what
 * the system's loader would take, and npm packages that carry them.
 *
 * @module
 */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { LibkrunfwNotFoundError, LibkrunNotFoundError, type LibraryNotFoundDetails } from "./errors.ts";
import { findInLoaderCache } from "./loader_cache.ts";

/** A library that was found, and why it was taken. */
export interface LibraryLocation {
  /** Absolute, with links resolved. */
  readonly path: string;
  readonly source: "option" | "environment" | "system" | "package";
  /** The option, variable, directory or package that led to it. */
  readonly origin: string;
  /** Every place that was looked at, this one last. */
  readonly searched: readonly string[];
}

/** Where to look. Everything but `path` has the defaults of this process. */
export interface LibrarySearchOptions {
  /** A file, or a directory that holds it. If given, nothing else is looked at. */
  path?: string | undefined;
  /** @default {process.env} */
  environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** `node_modules` is looked for here and upward. @default the directory of this module, and the current one */
  startDirectories?: readonly string[] | undefined;
  /** The loader's directories. @default {LD_LIBRARY_PATH, the loader's cache, the usual directories} */
  systemDirectories?: readonly string[] | undefined;
}

interface LibraryKind {
  readonly name: string;
  readonly option: string;
  readonly variable: string;
  /** The loader's name; a file may have more numbers behind it. */
  readonly soname: string;
  /** npm packages for this machine, which have it in their folder `lib`. */
  readonly packages: readonly string[];
  readonly hint: string;
  readonly NotFoundError: new (details: LibraryNotFoundDetails) => Error;
}

/** npm's names of processors are Node's own. */
const PLATFORM = `${process.platform}-${process.arch}`;

const LIBKRUN: LibraryKind = {
  name: "libkrun",
  option: "libkrunPath",
  variable: "MSB_LIBKRUN",
  soname: "libkrun.so.1",
  packages: [`@earendil-works/gondolin-krun-runner-${PLATFORM}`],
  hint: "install the distribution's libkrun 1.17 or later, add the npm package named above, or set MSB_LIBKRUN to the file",
  NotFoundError: LibkrunNotFoundError,
};

const LIBKRUNFW: LibraryKind = {
  name: "libkrunfw",
  option: "libkrunfwPath",
  variable: "MSB_LIBKRUNFW",
  soname: "libkrunfw.so.5",
  packages: [`@superradcompany/microsandbox-${PLATFORM}-gnu`],
  hint: "install the distribution's libkrunfw 5, add the npm package named above, or set MSB_LIBKRUNFW to the file",
  NotFoundError: LibkrunfwNotFoundError,
};

/** What the loaders of the common distributions search. */
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

/** Far above any real depth; a bound on the walk to the root. */
const DIRECTORY_DEPTH_MAX = 256;

/**
 * The file of libkrun 1.x. Order: `path`, `MSB_LIBKRUN`, the system's loader path, npm packages.
 *
 * @throws {LibkrunNotFoundError} which names every place.
 */
export function findLibkrun(options: LibrarySearchOptions = {}): LibraryLocation {
  return findLibrary(LIBKRUN, options);
}

/**
 * The file of libkrunfw 5.x. Order: `path`, `MSB_LIBKRUNFW`, the system's loader path, npm packages.
 *
 * @throws {LibkrunfwNotFoundError} which names every place.
 */
export function findLibkrunfw(options: LibrarySearchOptions = {}): LibraryLocation {
  return findLibrary(LIBKRUNFW, options);
}

/** What to tell a user about a library of ours that the loader would not take. */
export function loadFailureHint(loaderMessage: string): string | undefined {
  const missing = /(\S+\.so[.\d]*): cannot open shared object file/.exec(loaderMessage)?.[1];
  if (missing === undefined) return undefined;
  if (missing.startsWith("libcap-ng.so")) return `libkrun needs ${missing}: apt-get install libcap-ng0`;
  return `it needs ${missing}, which is not on this system's loader path`;
}

type Candidate = Omit<LibraryLocation, "path" | "searched"> & { readonly place: string };

function findLibrary(kind: LibraryKind, options: LibrarySearchOptions): LibraryLocation {
  const searched: string[] = [];
  for (const { place, source, origin } of candidates(kind, options)) {
    searched.push(origin === place ? place : `${origin}: ${place}`);
    const path = resolvePlace(place, kind.soname);
    if (path !== undefined) return { path, source, origin, searched };
  }
  throw new kind.NotFoundError({ searched, hint: kind.hint });
}

/** Files and directories to look at, best first. A place that the user named is the only one. */
function* candidates(kind: LibraryKind, options: LibrarySearchOptions): Generator<Candidate> {
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
  for (const place of systemFiles(kind.soname, environment, options.systemDirectories)) {
    yield { place, source: "system", origin: place };
  }
  for (const start of options.startDirectories ?? startDirectories()) {
    for (const directory of ancestors(start)) {
      for (const name of kind.packages) {
        yield { place: join(directory, "node_modules", name, "lib"), source: "package", origin: name };
      }
    }
  }
}

/** The files that the loader would take: it knows a library by this name alone, whatever else lies beside it. */
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

function startDirectories(): string[] {
  const here = import.meta.dirname; // a module that Deno runs from the network has none
  return here === undefined ? [process.cwd()] : [here, process.cwd()];
}

function* ancestors(directory: string): Generator<string> {
  let current = directory;
  for (let depth = 0; depth < DIRECTORY_DEPTH_MAX; depth++) {
    yield current;
    const parent = dirname(current);
    if (parent === current) return;
    current = parent;
  }
}

/** The library at `place`, which is the file itself or a directory that holds it. */
function resolvePlace(place: string, soname: string): string | undefined {
  const status = statSync(place, { throwIfNoEntry: false });
  if (status?.isFile()) return realpathSync(place);
  if (!status?.isDirectory()) return undefined;
  const name = bestFileName(listDirectory(place), soname);
  return name === undefined ? undefined : realpathSync(join(place, name));
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // a directory that we may not read holds nothing for us
  }
}

/** `soname` itself, else the highest release of it, e.g. `libkrunfw.so.5.10.0` before `libkrunfw.so.5.9.1`. */
function bestFileName(names: readonly string[], soname: string): string | undefined {
  if (names.includes(soname)) return soname;
  const releases = names.filter(
    (name) => name.startsWith(`${soname}.`) && /^[\d.]+$/.test(name.slice(soname.length)),
  );
  return releases.sort((left, right) => left.localeCompare(right, "en", { numeric: true })).at(-1);
}
