/**
 * Reads the header of a qcow2 disk, so that one which names other files of this machine is refused before QEMU opens it.
 *
 * Source: QEMU, docs/interop/qcow2.rst, "Header".
 *
 * @module
 */
import { closeSync, openSync, readSync } from "node:fs";

const MAGIC = 0x51_46_49_fb;
const HEADER_V2_BYTES = 72;
const HEADER_V3_BYTES = 104;
const INCOMPATIBLE_CORRUPT = 1n << 1n;
const INCOMPATIBLE_EXTERNAL_DATA = 1n << 2n;

/** What is wrong with the qcow2 disk at `path`; `undefined` if a VM may have it. @throws the system's error if it cannot be read. */
export function qcow2Problem(path: string): string | undefined {
  return qcow2HeaderProblem(readStart(path));
}

/** The same for the first bytes of a disk. */
export function qcow2HeaderProblem(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_V2_BYTES || view.getUint32(0) !== MAGIC) return "it is not a qcow2 disk";
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) return `it has version ${version} of qcow2: must be 2 or 3`;
  if (version === 3 && bytes.length < HEADER_V3_BYTES) return "its header is cut short";
  const backingOffset = view.getBigUint64(8);
  const backingBytes = view.getUint32(16);
  if (backingOffset !== 0n || backingBytes !== 0) return "it has a backing file, which a guest could choose";
  if (view.getUint32(32) !== 0) return "it is encrypted";
  const incompatible = version === 3 ? view.getBigUint64(72) : 0n;
  if ((incompatible & INCOMPATIBLE_EXTERNAL_DATA) !== 0n)
    return "it has an external data file, which a guest could choose";
  if ((incompatible & INCOMPATIBLE_CORRUPT) !== 0n)
    return "it is marked as corrupt: qemu-img check -r all may repair it";
  return view.getBigUint64(24) === 0n ? "its size is 0" : undefined;
}

function readStart(path: string): Uint8Array {
  const bytes = new Uint8Array(HEADER_V3_BYTES);
  const fd = openSync(path, "r");
  try {
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}
