/** Errors of the C libraries: not found, a call refused, a kernel that cannot be used. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions, RuntimeError } from "../base/errors.ts";

/** Why a library cannot be used. */
export interface LibraryNotFoundDetails extends MicrosandboxErrorOptions {
  /** Every place that was searched, in order. */
  searched: readonly string[];
  /** The file that was found but could not be loaded. */
  path?: string | undefined;
  /** Why `path` could not be loaded, in the loader's words where they are known. */
  reason?: string | undefined;
}

/** libkrun is not installed, or cannot be loaded. */
export class LibkrunNotFoundError extends MicrosandboxError {
  /** Every place that was searched, in order. */
  readonly searched: readonly string[];
  /** The file that was found but could not be loaded; `undefined` where none was found. */
  readonly path: string | undefined;

  /** @internal */
  constructor({ searched, path, reason, ...options }: LibraryNotFoundDetails) {
    super("libkrunNotFound", libraryMessage("libkrun", searched, path, reason), options);
    this.searched = searched;
    this.path = path;
  }
}

/** libkrunfw, which carries the guest kernel, is not installed, or cannot be loaded. */
export class LibkrunfwNotFoundError extends MicrosandboxError {
  /** Every place that was searched, in order. */
  readonly searched: readonly string[];
  /** The file that was found but could not be loaded; `undefined` where none was found. */
  readonly path: string | undefined;

  /** @internal */
  constructor({ searched, path, reason, ...options }: LibraryNotFoundDetails) {
    super("libkrunfwNotFound", libraryMessage("libkrunfw", searched, path, reason), options);
    this.searched = searched;
    this.path = path;
  }
}

function libraryMessage(name: string, searched: readonly string[], path?: string, reason?: string): string {
  if (path !== undefined) return `Cannot load ${name} from ${path}: ${reason ?? "no reason given"}`;
  const [only, ...others] = searched; // all of them would be screens full
  if (only === undefined) return `Cannot find ${name}`;
  return `Cannot find ${name}: ${others.length === 0 ? only : `searched ${searched.length} places`}`;
}

/** A function of libkrun returned a negative value. */
export class LibkrunCallError extends RuntimeError {
  /** The C function, e.g. `"krun_add_disk3"`. */
  readonly call: string;
  /** What it returned: a negated errno. */
  readonly returnCode: number;
  /** The errno's name, e.g. `"EINVAL"`; `"E" + number` where this system has no name for it. */
  readonly errnoName: string;

  /** @internal */
  constructor(call: string, returnCode: number, errnoName: string, options?: MicrosandboxErrorOptions) {
    super("libkrunCall", `${call} failed: ${errnoName} (${returnCode})`, options);
    this.call = call;
    this.returnCode = returnCode;
    this.errnoName = errnoName;
  }
}

/** The kernel of libkrunfw, or its copy in the cache, is damaged or of an unknown form. */
export class KernelInvalidError extends MicrosandboxError {
  /** @internal */
  constructor(problem: string, options?: MicrosandboxErrorOptions) {
    super("kernelInvalid", `Cannot use the guest kernel: ${problem}`, options);
  }
}
