/**
 * What file systems fail with: the error numbers of Linux, which is what every guest runs.
 *
 * @module
 */

/** Error numbers of Linux by name. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ESTALE: 116,
  EDQUOT: 122,
} as const;

/** The name of an error number that a file system may fail with. */
export type ErrnoName = keyof typeof Errno;

/**
 * What a method of a `FileSystemProvider` throws to fail with an error number. An error of `node:fs` does as well; any other
 * is EIO to the guest.
 *
 * @example
 * ```ts no-vm
 * import { FileSystemError } from "microsandbox";
 *
 * const error = new FileSystemError("ENOENT");
 * console.log(error.errno, error.code);
 * ```
 */
export class FileSystemError extends Error {
  /** Its name, e.g. `"ENOENT"`. */
  readonly code: ErrnoName;
  /** The number that a program in the guest sees, e.g. 2. */
  readonly errno: number;

  /** Creates the error of that name. */
  constructor(code: ErrnoName, options?: ErrorOptions) {
    super(code, options);
    this.name = "FileSystemError";
    this.code = code;
    this.errno = Errno[code];
  }
}

/** The error number that a guest is told for what a provider threw. */
export function errnoOf(error: unknown): number {
  if (error instanceof FileSystemError) return error.errno;
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  if (typeof code === "string" && isErrnoName(code)) return Errno[code];
  return Errno.EIO;
}

function isErrnoName(name: string): name is ErrnoName {
  return Object.hasOwn(Errno, name);
}

/** The name of an error number; EIO of one that is not in the table. */
export function errnoNameOf(errno: number): ErrnoName {
  return NAMES.get(errno) ?? "EIO";
}

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(
  Object.entries(Errno).map(([name, errno]) => [errno, name as ErrnoName]),
);
