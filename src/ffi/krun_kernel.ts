/**
 * Finds the kernel of libkrunfw: where it is in the memory of this process, and where it goes in the memory of a guest.
 *
 * @module
 */
import { MiB } from "../base/bytes.ts";
import { KernelInvalidError } from "./errors.ts";
import type { LIBKRUNFW_SYMBOLS } from "./libkrun_symbols.ts";
import type { Bound } from "./symbol_table.ts";

/** A kernel image as libkrunfw describes it. */
export interface KernelLocation {
  /** Address of its first byte in this process. */
  readonly address: bigint;
  readonly sizeBytes: number;
  /** Guest-physical address at which it is loaded. */
  readonly loadAddress: bigint;
  /** Guest-physical address of its 64-bit entry. */
  readonly entryAddress: bigint;
}

const KERNEL_BYTES_MIN = MiB;
const KERNEL_BYTES_MAX = 256 * MiB;
/** Below the window of x86_64's devices; aarch64's RAM starts at 2 GiB. */
const LOAD_ADDRESS_MAX = 0x1_0000_0000n;

/**
 * The kernel of a loaded libkrunfw.
 *
 * @throws {KernelInvalidError} for numbers that cannot be right.
 */
export function bundledKernel(library: Bound<typeof LIBKRUNFW_SYMBOLS>): KernelLocation {
  const [load, entry, size] = [new BigUint64Array(1), new BigUint64Array(1), new BigUint64Array(1)];
  const address = library.krunfw_get_kernel(bytesOf(load), bytesOf(entry), bytesOf(size));
  const [loadAddress, entryAddress, sizeBytes] = [load[0]!, entry[0]!, Number(size[0]!)];
  if (address === 0n) throw new KernelInvalidError("libkrunfw has no kernel");
  if (sizeBytes < KERNEL_BYTES_MIN || sizeBytes > KERNEL_BYTES_MAX) {
    throw new KernelInvalidError(`its size is ${sizeBytes} bytes`);
  }
  const end = loadAddress + BigInt(sizeBytes);
  if (end > LOAD_ADDRESS_MAX || entryAddress < loadAddress || entryAddress >= end) {
    throw new KernelInvalidError(
      `it is at 0x${loadAddress.toString(16)} with its entry at 0x${entryAddress.toString(16)}`,
    );
  }
  return { address, sizeBytes, loadAddress, entryAddress };
}

function bytesOf(numbers: BigUint64Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(numbers.buffer);
}
