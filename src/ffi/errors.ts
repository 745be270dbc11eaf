/** Errors of the C libraries: not found, a call refused, a kernel that cannot be used. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions, RuntimeError } from "../base/errors.ts";

/** How a library was missed. */
export interface LibraryNotFoundDetails extends MicrosandboxErrorOptions {
  /** Every place that was looked at, in order. */
  searched: readonly string[];
  /** The file that was found but could not be loaded. */
  path?: string | undefined;
  /** The loader's own words about `path`. */
  reason?: string | undefined;
}

/** libkrun is not there, or is there and cannot be loaded. */
export class LibkrunNotFoundError extends MicrosandboxError {
  /** Every place that was looked at, in order. */
  readonly searched: readonly string[];
  /** The file that was found but could not be loaded; `undefined` where none was found. */
  readonly path: string | undefined;

  constructor({ searched, path, reason, ...options }: LibraryNotFoundDetails) {
    super("libkrunNotFound", libraryMessage("libkrun", searched, path, reason), options);
    this.searched = searched;
    this.path = path;
  }
}

/** libkrunfw, which carries the guest kernel, is not there, or is there and cannot be loaded. */
export class LibkrunfwNotFoundError extends MicrosandboxError {
  /** Every place that was looked at, in order. */
  readonly searched: readonly string[];
  /** The file that was found but could not be loaded; `undefined` where none was found. */
  readonly path: string | undefined;

  constructor({ searched, path, reason, ...options }: LibraryNotFoundDetails) {
    super("libkrunfwNotFound", libraryMessage("libkrunfw", searched, path, reason), options);
    this.searched = searched;
    this.path = path;
  }
}

function libraryMessage(name: string, searched: readonly string[], path?: string, reason?: string): string {
  if (path !== undefined) return `Cannot load ${name} from ${path}: ${reason ?? "no reason given"}`;
  return `Cannot find ${name}: searched ${searched.join("; ")}`;
}

/** A function of libkrun returned a negative value. */
export class LibkrunCallError extends RuntimeError {
  /** The C function, e.g. `"krun_add_disk3"`. */
  readonly call: string;
  /** What it returned: a negated errno. */
  readonly returnCode: number;
  /** The errno's name, e.g. `"EINVAL"`; `"E" + number` where this system has no name for it. */
  readonly errnoName: string;

  constructor(call: string, returnCode: number, errnoName: string, options?: MicrosandboxErrorOptions) {
    super("libkrunCall", `${call} failed: ${errnoName} (${returnCode})`, options);
    this.call = call;
    this.returnCode = returnCode;
    this.errnoName = errnoName;
  }
}

/** libkrunfw's kernel, or its copy in the cache, is not what it should be. */
export class KernelInvalidError extends MicrosandboxError {
  constructor(problem: string, options?: MicrosandboxErrorOptions) {
    super("kernelInvalid", `Cannot use the guest kernel: ${problem}`, options);
  }
}
