/**
 * Wraps a raw x86_64 kernel image into an ELF file that QEMU's `-kernel` boots through the PVH entry point.
 *
 * Sources: System V ABI, ELF-64 object file format (headers); Xen `public/elfnote.h` (XEN_ELFNOTE_PHYS32_ENTRY);
 * QEMU looks for that note in a PT_NOTE segment.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type Bytes, KiB } from "../base/bytes.ts";
import { KernelInvalidError } from "./errors.ts";

/** An image and where it belongs in guest memory. */
export interface RawKernel {
  readonly image: Uint8Array;
  readonly loadAddress: bigint;
  readonly entryAddress: bigint;
}

/** The image starts on a page of its own, behind the headers. */
export const PVH_IMAGE_OFFSET: number = 4 * KiB;

const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PF_READ_WRITE_EXECUTE = 7;
const PF_READ = 4;

const NOTE_TYPE_PHYS32_ENTRY = 18;
const NOTE_DESCRIPTION_BYTES = 8;
const NOTE_ALIGNMENT = 4;
/** n_namesz, n_descsz, n_type, then the name; a character a byte. The description, the entry's address, follows. */
const NOTE_START = `\u0004\0\0\0\u0008\0\0\0${String.fromCharCode(NOTE_TYPE_PHYS32_ENTRY)}\0\0\0Xen\0`;

/**
 * The ELF file of `kernel`.
 *
 * @throws {KernelInvalidError} if the image has no PVH note, or one whose entry is outside the image.
 */
export function buildPvhElf(kernel: RawKernel): Bytes {
  const noteOffset = findPvhNote(kernel);
  const noteBytes = NOTE_START.length + NOTE_DESCRIPTION_BYTES;
  const imageBytes = kernel.image.length;
  const file = new Uint8Array(PVH_IMAGE_OFFSET + imageBytes);
  const view = new DataView(file.buffer);
  writeElfHeader(view, kernel.entryAddress, 2);
  writeProgramHeader(view, 0, {
    type: PT_LOAD,
    flags: PF_READ_WRITE_EXECUTE,
    offset: PVH_IMAGE_OFFSET,
    address: kernel.loadAddress,
    sizeBytes: imageBytes,
    alignment: PVH_IMAGE_OFFSET,
  });
  writeProgramHeader(view, 1, {
    type: PT_NOTE,
    flags: PF_READ,
    offset: PVH_IMAGE_OFFSET + noteOffset,
    address: kernel.loadAddress + BigInt(noteOffset),
    sizeBytes: noteBytes,
    alignment: NOTE_ALIGNMENT,
  });
  file.set(kernel.image, PVH_IMAGE_OFFSET);
  return file;
}

/** Offset of the kernel's own note: the bytes may also occur by chance, so the entry must be inside the image. */
function findPvhNote({ image, loadAddress }: RawKernel): number {
  const text = latin1(image);
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const end = loadAddress + BigInt(image.length);
  for (let offset = text.indexOf(NOTE_START); offset !== -1; offset = text.indexOf(NOTE_START, offset + 1)) {
    const descriptionOffset = offset + NOTE_START.length;
    if (descriptionOffset + NOTE_DESCRIPTION_BYTES > image.length) break;
    const entry = view.getBigUint64(descriptionOffset, true);
    if (offset % NOTE_ALIGNMENT === 0 && entry >= loadAddress && entry < end) return offset;
  }
  throw new KernelInvalidError("it has no PVH entry note, so QEMU cannot boot it");
}

/** A character a byte. Searching text is native code on both runtimes; searching a `Buffer` on Deno is not. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function writeElfHeader(view: DataView, entry: bigint, programHeaders: number): void {
  view.setUint32(0, 0x7f454c46); // "\x7fELF"
  view.setUint8(4, 2); // ELFCLASS64
  view.setUint8(5, 1); // little-endian
  view.setUint8(6, 1); // EV_CURRENT
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, EM_X86_64, true);
  view.setUint32(20, 1, true); // EV_CURRENT
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, BigInt(ELF_HEADER_BYTES), true); // e_phoff
  view.setUint16(52, ELF_HEADER_BYTES, true);
  view.setUint16(54, PROGRAM_HEADER_BYTES, true);
  view.setUint16(56, programHeaders, true);
}

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: bigint;
  sizeBytes: number;
  alignment: number;
}

function writeProgramHeader(view: DataView, index: number, segment: Segment): void {
  const start = ELF_HEADER_BYTES + index * PROGRAM_HEADER_BYTES;
  const sizeBytes = BigInt(segment.sizeBytes);
  view.setUint32(start, segment.type, true);
  view.setUint32(start + 4, segment.flags, true);
  view.setBigUint64(start + 8, BigInt(segment.offset), true);
  view.setBigUint64(start + 16, segment.address, true); // virtual: the guest starts without paging
  view.setBigUint64(start + 24, segment.address, true);
  view.setBigUint64(start + 32, sizeBytes, true); // in the file
  view.setBigUint64(start + 40, sizeBytes, true); // in memory
  view.setBigUint64(start + 48, BigInt(segment.alignment), true);
}
