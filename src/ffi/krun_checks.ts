/**
 * Checks arguments before a call into libkrun. What they refuse would abort the process, corrupt memory, or start a VM
 * that never boots and prints nothing.
 *
 * @module
 */
import { encodeUtf8, KiB } from "../base/bytes.ts";
import { InvalidConfigError } from "../base/errors.ts";

/** More virtual CPUs than this abort libkrun on some kernels; the bundled guest kernels use 16 at most. */
export const CPUS_MAX = 64;
/** What a Linux guest needs to reach its first program. */
export const MEMORY_MIB_MIN = 64;
export const MEMORY_MIB_MAX = 1024 * KiB;
/** x86_64 has interrupt lines 5 to 15 for virtio devices. */
export const VIRTIO_DEVICES_MAX: number = process.arch === "x64" ? 11 : 128;
/** The guest kernel reads 2,047 bytes: less libkrun's own words (256) and 37 for each of 11 devices. */
export const KERNEL_WORDS_BYTES_MAX = 1384;
/** `sun_path` has 108 bytes with its NUL. */
export const SOCKET_PATH_BYTES_MAX = 107;
/** `PATH_MAX` has 4,096 bytes with its NUL. */
export const PATH_BYTES_MAX = 4095;
/** `IFNAMSIZ` has 16 bytes with its NUL. */
export const TAP_NAME_BYTES_MAX = 15;
/** The virtiofs configuration space has 36 bytes for the tag. */
export const VIRTIOFS_TAG_BYTES_MAX = 36;
/** Longer port names are of no use: the agent reads them from one line in sysfs. */
export const PORT_NAME_BYTES_MAX = 64;
export const DISK_ID_BYTES_MAX = 64;

/** The first guest-physical MiB that x86_64 virtio devices occupy: RAM must not end above it but below 4 GiB's hole. */
const MMIO_START_MIB = 0xd000_0000 / (KiB * KiB);

function refuse(field: string, problem: string): never {
  throw new InvalidConfigError([{ field, problem }]);
}

/** An integer from `min` to `max`. */
export function checkInteger(field: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  refuse(field, `must be an integer from ${min} to ${max}: current value is ${value}`);
}

/**
 * Memory that boots: on x86_64 libkrun places RAM behind the bundled kernel, and RAM that then reaches into the device
 * window, at 3,328 MiB, never boots. From 3,328 MiB on it is split and boots again.
 */
export function checkMemory(field: string, memoryMiB: number, kernelEndMiB: number): void {
  checkInteger(field, memoryMiB, Math.max(MEMORY_MIB_MIN, Math.ceil(kernelEndMiB) + 1), MEMORY_MIB_MAX);
  if (process.arch !== "x64") return;
  const holeStart = Math.floor(MMIO_START_MIB - kernelEndMiB);
  if (memoryMiB < holeStart || memoryMiB > MMIO_START_MIB) return;
  refuse(
    field,
    `must not be from ${holeStart} to ${MMIO_START_MIB} MiB, which do not boot on x86_64: current value is ${memoryMiB}`,
  );
}

/** Text of printable ASCII without spaces, of 1 to `bytesMax` bytes. */
export function checkName(field: string, value: string, bytesMax: number): void {
  if (value.length >= 1 && value.length <= bytesMax && /^[\x21-\x7e]+$/.test(value)) return;
  refuse(
    field,
    `must be 1 to ${bytesMax} printable ASCII characters without spaces: current value is ${JSON.stringify(value)}`,
  );
}

/** A host path that can be a C string. */
export function checkHostPath(field: string, path: string, bytesMax: number = PATH_BYTES_MAX): void {
  if (path.includes("\0")) refuse(field, `must not contain a NUL: current value is ${JSON.stringify(path)}`);
  const sizeBytes = encodeUtf8(path).length;
  if (sizeBytes >= 1 && sizeBytes <= bytesMax) return;
  refuse(field, `must be 1 to ${bytesMax} bytes long: current length is ${sizeBytes}`);
}

/** A path that fits the address of a unix socket. */
export function checkSocketPath(field: string, path: string): void {
  checkHostPath(field, path, SOCKET_PATH_BYTES_MAX);
}

/** An interface name that the kernel takes. */
export function checkTapName(field: string, name: string): void {
  checkName(field, name, TAP_NAME_BYTES_MAX);
  if (/[/:%]/.test(name) || name === "." || name === "..") {
    refuse(field, `must be an interface name: current value is ${JSON.stringify(name)}`);
  }
}

/** A unicast Ethernet address that is not all zeros. */
export function checkMac(field: string, mac: Uint8Array): void {
  const isUnicast = mac.length === 6 && (mac[0]! & 1) === 0 && mac.some((byte) => byte !== 0);
  if (!isUnicast)
    refuse(field, `must be the 6 bytes of a unicast address: current value is [${mac.join(", ")}]`);
}

/** Words for the kernel's command line. libkrun puts double quotes around each and aborts on what is not ASCII. */
export function checkKernelWords(field: string, words: readonly string[]): void {
  for (const word of words) {
    if (!/^[\x20\x21\x23-\x7e]+$/.test(word)) {
      refuse(
        field,
        `must be printable ASCII without double quotes: current value is ${JSON.stringify(word)}`,
      );
    }
  }
  const sizeBytes = words.reduce((sum, word) => sum + word.length + ' ""'.length, 0);
  if (sizeBytes > KERNEL_WORDS_BYTES_MAX) {
    refuse(
      field,
      `must take at most ${KERNEL_WORDS_BYTES_MAX} bytes of the kernel's command line: current size is ${sizeBytes}`,
    );
  }
}

/** TCP ports, each used once on its side. */
export function checkPortMap(field: string, ports: readonly { hostPort: number; guestPort: number }[]): void {
  for (const side of ["hostPort", "guestPort"] as const) {
    const seen = new Set<number>();
    for (const entry of ports) {
      const port = entry[side];
      checkInteger(`${field}.${side}`, port, 1, 65_535);
      if (seen.has(port)) refuse(`${field}.${side}`, `must not repeat: ${port} is there twice`);
      seen.add(port);
    }
  }
}

/** Not used before in this context. */
export function checkUnused(field: string, value: string, used: ReadonlySet<string>): void {
  if (used.has(value)) refuse(field, `must be used once in a VM: current value is ${JSON.stringify(value)}`);
}

/** A descriptor that is open now, or -1 for none. libkrun aborts at the start on one that is not. */
export function checkFd(field: string, fd: number, isOpen: (fd: number) => boolean): void {
  if (fd === -1 || (Number.isInteger(fd) && fd >= 0 && isOpen(fd))) return;
  refuse(field, `must be an open file descriptor, or -1 for none: current value is ${fd}`);
}

/** Room for the VM's virtio devices. */
export function checkDeviceCount(count: number): void {
  if (count <= VIRTIO_DEVICES_MAX) return;
  refuse(
    "devices",
    `must be at most ${VIRTIO_DEVICES_MAX} virtio devices, libkrun's own included: current count is ${count}`,
  );
}
