/**
 * What a directory of this machine holds.
 *
 * @module
 */
import { type Files, Open } from "../../ffi/files.ts";
import { FileSystemError } from "../errno.ts";
import { decodeName } from "../names.ts";
import type { FileType, ProviderEntry } from "../provider.ts";
import { check, statusOf, TYPES, typeOf } from "./directory_file.ts";

const DIRECTORY_BYTES = 64 * 1024;
/** `struct linux_dirent64` before the name: inode, offset, size, type. */
const DIRENT_HEAD_BYTES = 19;

/** Reads an open directory to its end. @throws {FileSystemError} ENOMEM if it has more entries than `entriesMax`. */
export function readEntries(files: Files, fd: number, entriesMax: number): ProviderEntry[] {
  const entries: ProviderEntry[] = [];
  const room = new Uint8Array(DIRECTORY_BYTES);
  const view = new DataView(room.buffer);
  for (let size = check(files.readDirectory(fd, room)); size > 0; ) {
    for (let offset = 0; offset < size; offset += view.getUint16(offset + 16, true)) {
      const end = room.indexOf(0, offset + DIRENT_HEAD_BYTES);
      const bytes = room.subarray(offset + DIRENT_HEAD_BYTES, end);
      const name = decodeName(bytes);
      if (name === "." || name === "..") continue;
      const type = TYPES.get(view.getUint8(offset + 18) << 12) ?? typeIn(files, fd, bytes);
      if (entries.length >= entriesMax) throw new FileSystemError("ENOMEM");
      if (type !== undefined) entries.push({ name, type, inode: view.getBigUint64(offset, true) });
    }
    size = check(files.readDirectory(fd, room));
  }
  return entries;
}

/** Some file systems do not say it in the directory. */
function typeIn(files: Files, directory: number, name: Uint8Array): FileType | undefined {
  const fd = files.openBeneath(directory, name, Open.pathOnly);
  if (fd < 0) return undefined; // gone since it was listed
  const type = typeOf(statusOf(files, fd));
  files.close(fd);
  return type;
}
