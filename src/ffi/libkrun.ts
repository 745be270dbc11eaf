/**
 * The only door to libkrun. A process that runs a VM loads it once, in the thread that will start the VM.
 *
 * @module
 */
import { MiB } from "../base/bytes.ts";
import { InternalError } from "../base/errors.ts";
import { loadNativeInterface } from "./bind.ts";
import { LibkrunfwNotFoundError, LibkrunNotFoundError } from "./errors.ts";
import { checkFd, checkInteger } from "./krun_checks.ts";
import { checked, KrunContext, type KrunContextHost } from "./krun_context.ts";
import { bundledKernel, type KernelLocation } from "./krun_kernel.ts";
import { Libc } from "./libc.ts";
import { LIBKRUN_SYMBOLS, LIBKRUNFW_SYMBOLS } from "./libkrun_symbols.ts";
import { findLibkrun, findLibkrunfw, type LibraryLocation } from "./library_search.ts";
import { openLibrary } from "./open_library.ts";
import type { Bound, NativeInterface } from "./symbol_table.ts";

/** Which files to load; see `findLibkrun()` for the order without them. */
export interface LibkrunOptions {
  /** File of libkrun, or its directory. */
  libkrunPath?: string | undefined;
  /** File of libkrunfw, or its directory. */
  libkrunfwPath?: string | undefined;
}

/** libkrun's own log. */
export interface KrunLogOptions {
  /** Where it goes: -1 or 2 is stderr, 1 stdout; any other descriptor is libkrun's from here on. */
  fd: number;
  /** @default {"warn"} */
  level?: keyof typeof LOG_LEVELS | undefined;
  /** ANSI colours. @default {"never"} */
  style?: keyof typeof LOG_STYLES | undefined;
  /** Whether `RUST_LOG` may override `level`. @default {false} */
  environment?: boolean | undefined;
}

const LOG_LEVELS = { off: 0, error: 1, warn: 2, info: 3, debug: 4, trace: 5 } as const;
const LOG_STYLES = { auto: 0, always: 1, never: 2 } as const;
const LOG_OPTION_NO_ENVIRONMENT = 1;

/** What a build of libkrun may have. Source: `KRUN_FEATURE_*` of libkrun.h. */
const FEATURES = {
  net: 0n,
  block: 1n,
  gpu: 2n,
  sound: 3n,
  input: 4n,
  efi: 5n,
  tee: 6n,
} as const;

/** A build-time feature of libkrun. */
export type KrunFeature = keyof typeof FEATURES;

/** The release of libkrun, as far as its functions tell. */
export type KrunRelease = "before 1.17" | "1.17" | "1.18" | "1.19 or later";

let loading: { key: string; libkrun: Promise<Libkrun> } | undefined;
// libkrun aborts the process at the second call.
let logIsReady = false;

/**
 * A loaded libkrun.
 *
 * @example
 * ```ts no-run: becomes the VM, and never returns
 * const libkrun = await Libkrun.load();
 * libkrun.initLog({ fd: -1, level: "warn" });
 * const vm = libkrun.createContext();
 * vm.setVmConfig({ cpus: 2, memoryMiB: 512 });
 * vm.setEnv(["root=/dev/vda", "rootfstype=erofs", "ro", "init=/agent"]);
 * vm.addDisk({ id: "boot", path: "boot.erofs", readOnly: true });
 * vm.startEnter(); // blocks; the process ends with the VM
 * ```
 */
export class Libkrun {
  /** The files in use. */
  readonly libkrun: LibraryLocation;
  readonly libkrunfw: LibraryLocation;
  readonly #c: Bound<typeof LIBKRUN_SYMBOLS>;
  readonly #libc: Libc;
  readonly #host: KrunContextHost;

  private constructor(loaded: Loaded) {
    this.libkrun = loaded.libkrun;
    this.libkrunfw = loaded.libkrunfw;
    this.#c = loaded.symbols;
    this.#libc = loaded.libc;
    this.#host = {
      native: loaded.native,
      symbols: loaded.symbols,
      kernelEndMiB: Number(loaded.kernel.loadAddress + BigInt(loaded.kernel.sizeBytes)) / MiB,
      isOpen: (fd) => loaded.libc.isOpen(fd),
    };
  }

  /**
   * Loads libkrunfw, then libkrun, once: libkrun asks the loader for `libkrunfw.so.5` and gets the one that is already
   * there. Later calls give the same object.
   *
   * @throws {LibkrunNotFoundError | LibkrunfwNotFoundError} for a file that is missing or cannot be loaded.
   * @throws {KernelInvalidError} for a libkrunfw without a usable kernel.
   * @throws {InternalError} for other paths than those of the first call.
   */
  static load(options: LibkrunOptions = {}): Promise<Libkrun> {
    const key = JSON.stringify([options.libkrunPath, options.libkrunfwPath]);
    if (loading !== undefined && loading.key !== key) {
      return Promise.reject(new InternalError("Cannot load a second libkrun into one process"));
    }
    loading ??= { key, libkrun: loadLibraries(options).then((loaded) => new Libkrun(loaded)) };
    return loading.libkrun.catch((error) => {
      loading = undefined; // nothing is in use yet, so that the caller may try other paths
      throw error;
    });
  }

  /** The C library, for descriptors that libkrun can keep. */
  get libc(): Libc {
    return this.#libc;
  }

  /** The release, told by the functions that are there. Below 1.19, vsock and console ports have known faults. */
  get release(): KrunRelease {
    if (this.#c.krun_fs_add_overlay_file !== undefined) return "1.19 or later";
    if (this.#c.krun_add_virtiofs3 !== undefined) return "1.18";
    return this.#c.krun_has_feature !== undefined || this.#c.krun_add_disk3 !== undefined
      ? "1.17"
      : "before 1.17";
  }

  /**
   * Starts libkrun's log. Once in the life of a process; this object cannot see a call from another thread.
   *
   * @throws {InternalError} at the second call.
   */
  initLog({ fd, level = "warn", style = "never", environment = false }: KrunLogOptions): void {
    if (logIsReady) throw new InternalError("Cannot start libkrun's log twice in one process");
    checkInteger("fd", fd, -1, 0x7fff_ffff);
    checkFd("fd", fd, (number) => number !== 0 && this.#libc.isOpen(number));
    logIsReady = true;
    const options = environment ? 0 : LOG_OPTION_NO_ENVIRONMENT;
    checked("krun_init_log", this.#c.krun_init_log(fd, LOG_LEVELS[level], LOG_STYLES[style], options));
  }

  /** @throws {LibkrunCallError} */
  createContext(): KrunContext {
    return new KrunContext(this.#host);
  }

  /**
   * The number of virtual CPUs that KVM allows in one VM.
   *
   * @throws {LibkrunCallError} where KVM cannot be used.
   */
  maxVcpus(): number {
    return checked("krun_get_max_vcpus", this.#c.krun_get_max_vcpus());
  }

  /** Whether this build has `feature`; `undefined` where this release of libkrun cannot tell. */
  hasFeature(feature: KrunFeature): boolean | undefined {
    if (this.#c.krun_has_feature !== undefined) return this.#c.krun_has_feature(FEATURES[feature]) === 1;
    if (feature === "net") return this.#c.krun_add_net_tap !== undefined;
    if (feature === "block") return this.#c.krun_add_disk !== undefined;
    return undefined;
  }

  /** Whether a guest can run VMs of its own; `undefined` where this release of libkrun cannot tell. */
  checkNestedVirt(): boolean | undefined {
    const result = this.#c.krun_check_nested_virt?.();
    return result === undefined || result < 0 ? undefined : result === 1;
  }
}

interface Loaded {
  readonly libkrun: LibraryLocation;
  readonly libkrunfw: LibraryLocation;
  readonly native: NativeInterface;
  readonly symbols: Bound<typeof LIBKRUN_SYMBOLS>;
  readonly kernel: KernelLocation;
  readonly libc: Libc;
}

async function loadLibraries({ libkrunPath, libkrunfwPath }: LibkrunOptions): Promise<Loaded> {
  const libkrun = findLibkrun({ path: libkrunPath });
  const libkrunfw = findLibkrunfw({ path: libkrunfwPath });
  const native = await loadNativeInterface();
  const libc = await Libc.load();
  const kernel = bundledKernel(openLibrary(native, libkrunfw, LIBKRUNFW_SYMBOLS, LibkrunfwNotFoundError));
  const symbols = openLibrary(native, libkrun, LIBKRUN_SYMBOLS, LibkrunNotFoundError);
  return { libkrun, libkrunfw, native, symbols, kernel, libc };
}
