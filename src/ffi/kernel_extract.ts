/**
 * libkrunfw's kernel as a file, for QEMU: taken out of the library once and kept in a cache.
 *
 * The cache holds `kernel-SHA256.elf`, named by content, and `kernel-of-KEY.json`, which says what the kernel of one
 * library file is, so that the library need not be loaded again; nor is the kernel read, whose size and time of change tell
 * that it is what was written. Both appear by rename: any number of processes may extract at once, and each finds either
 * nothing or a whole file.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../base/bytes.ts";
import { IoError, UnsupportedError } from "../base/errors.ts";
import { homePaths } from "../platform/home.ts";
import { isAbsence } from "../platform/if_present.ts";
import { stagingPath } from "../platform/staging.ts";
import { loadNativeInterface } from "./bind.ts";
import { KernelInvalidError, LibkrunfwNotFoundError } from "./errors.ts";
import { bundledKernel } from "./krun_kernel.ts";
import { LIBKRUNFW_SYMBOLS } from "./libkrun_symbols.ts";
import { findLibkrunfw, type LibraryLocation } from "./library_search.ts";
import { openLibrary } from "./open_library.ts";
import { buildPvhElf, latin1, type RawKernel } from "./pvh_elf.ts";

/** Options of {@linkcode extractKernel}. */
export interface KernelExtractOptions {
  /** The home whose cache is used; made if it does not exist. */
  home: string;
  /** File of libkrunfw, or its directory. @default what `findLibkrunfw()` finds */
  libkrunfwPath?: string | undefined;
}

/** A kernel file. */
export interface ExtractedKernel {
  /** An ELF file on x86_64, an `Image` on aarch64: what QEMU's `-kernel` takes. */
  readonly path: string;
  /** Of the file, in hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** The kernel's release, e.g. `"6.12.109"`; `undefined` if the image does not say. */
  readonly version: string | undefined;
}

/** What an index file says. */
interface KernelIndex extends Omit<ExtractedKernel, "path"> {
  /** When the kernel file was last changed, in nanoseconds. */
  readonly modifiedNs: string;
}

/** Part of the key: raised when the file is built in another way, or the index says something else. */
const FORMAT_VERSION = 2;
/** Offset and value of the aarch64 `Image` magic (Linux, Documentation/arch/arm64/booting.rst). */
const ARM64_MAGIC_OFFSET = 56;
const ARM64_MAGIC = "ARM\x64";

/**
 * The kernel file for this machine's libkrunfw, from the cache if it is there and whole.
 *
 * @throws {LibkrunfwNotFoundError} for a libkrunfw that is missing or cannot be loaded.
 * @throws {KernelInvalidError} for a kernel that QEMU could not boot.
 * @throws {UnsupportedError} on other processors than x86_64 and aarch64.
 * @throws {IoError} if the cache cannot be written.
 *
 * @example
 * ```ts
 * const kernel = await extractKernel({ home: "./home" });
 * console.log(kernel.path, kernel.version);
 * ```
 */
export async function extractKernel(options: KernelExtractOptions): Promise<ExtractedKernel> {
  const { home } = options;
  const cacheDirectory = homePaths(home).kernels;
  const library = findLibkrunfw({ path: options.libkrunfwPath });
  const indexPath = join(cacheDirectory, `kernel-of-${await libraryKey(library.path)}.json`);
  const cached = await readCached(cacheDirectory, indexPath);
  if (cached !== undefined) return cached;

  const { bytes, version } = await buildKernelFile(library);
  const sha256 = await sha256Of(bytes);
  const kernel: ExtractedKernel = {
    path: kernelPath(cacheDirectory, sha256),
    sha256,
    sizeBytes: bytes.length,
    version,
  };
  try {
    await mkdir(cacheDirectory, { recursive: true });
    if (!(await isWhole(kernel))) await writeAtomically(home, kernel.path, bytes);
    await writeAtomically(home, indexPath, `${JSON.stringify(await indexOf(kernel))}\n`); // last: it vouches for the other
  } catch (error) {
    throw new IoError(`write the guest kernel to ${cacheDirectory}`, cacheDirectory, error);
  }
  return kernel;
}

/** Whether another process has written it in the meantime: to replace that would make its index wrong. */
async function isWhole({ path, sha256 }: ExtractedKernel): Promise<boolean> {
  const bytes = await readIfPresent(path);
  return bytes !== undefined && (await sha256Of(bytes)) === sha256;
}

async function indexOf({ path, sha256, sizeBytes, version }: ExtractedKernel): Promise<KernelIndex> {
  const { mtimeNs } = await stat(path, { bigint: true });
  return { sha256, sizeBytes, version, modifiedNs: String(mtimeNs) };
}

/** Names one library file as it is now; another size or time of change is another library. */
async function libraryKey(path: string): Promise<string> {
  const { size, mtimeNs } = await stat(path, { bigint: true });
  const facts = `${FORMAT_VERSION}\0${process.arch}\0${path}\0${size}\0${mtimeNs}`;
  return (await sha256Of(Buffer.from(facts))).slice(0, 32);
}

/** What the cache has; `undefined` for anything absent, damaged or changed, which is then written again. */
async function readCached(cacheDirectory: string, indexPath: string): Promise<ExtractedKernel | undefined> {
  const index = parseIndex(await readIfPresent(indexPath));
  if (index === undefined) return undefined;
  const { modifiedNs, ...kernel } = index;
  const path = kernelPath(cacheDirectory, kernel.sha256);
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  const isSame = found?.size === BigInt(kernel.sizeBytes) && String(found.mtimeNs) === modifiedNs;
  return isSame ? { path, ...kernel } : undefined;
}

function parseIndex(bytes: Uint8Array | undefined): KernelIndex | undefined {
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { sha256, sizeBytes, modifiedNs, version } = value as Partial<Record<keyof KernelIndex, unknown>>;
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  if (typeof sizeBytes !== "number" || typeof modifiedNs !== "string") return undefined;
  return { sha256, sizeBytes, modifiedNs, version: typeof version === "string" ? version : undefined };
}

async function readIfPresent(path: string): Promise<Buffer<ArrayBuffer> | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw new IoError(`read the guest kernel's cache: ${path}`, path, error);
  }
}

async function buildKernelFile(
  library: LibraryLocation,
): Promise<{ bytes: Bytes; version: string | undefined }> {
  const native = await loadNativeInterface();
  const location = bundledKernel(openLibrary(native, library, LIBKRUNFW_SYMBOLS, LibkrunfwNotFoundError));
  const image = native.readMemory(location.address, location.sizeBytes);
  return { bytes: toBootableFile({ ...location, image }), version: findVersion(image) };
}

function toBootableFile(kernel: RawKernel & { readonly image: Bytes }): Bytes {
  if (process.arch === "x64") return buildPvhElf(kernel);
  if (process.arch !== "arm64") throw new UnsupportedError(`Cannot boot a guest kernel on ${process.arch}`);
  const magic = Buffer.from(kernel.image.subarray(ARM64_MAGIC_OFFSET, ARM64_MAGIC_OFFSET + 4)).toString(
    "latin1",
  );
  if (magic !== ARM64_MAGIC) throw new KernelInvalidError("it is not an aarch64 Image");
  return kernel.image;
}

/** The release in the kernel's banner, "Linux version 6.12.109 (…". */
function findVersion(image: Uint8Array): string | undefined {
  return /Linux version (\d[\w.+-]*) \(/.exec(latin1(image))?.[1];
}

/** Writes a file that appears whole or not at all, also for other processes that write the same. */
async function writeAtomically(home: string, path: string, content: Uint8Array | string): Promise<void> {
  const temporary = stagingPath(home); // where it is swept away should this process be killed
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(content);
      await file.sync(); // the name must not outlive the bytes at a power cut
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function kernelPath(directory: string, sha256: string): string {
  return join(directory, `kernel-${sha256}.${process.arch === "x64" ? "elf" : "image"}`);
}

/** By Web Crypto: `node:crypto` would cost every VM host process of QEMU 0.7 MB. */
async function sha256Of(content: Bytes): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", content)).toString("hex");
}
