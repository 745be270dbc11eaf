/**
 * Unpacks an image archive into files that are named by numbers: no name from the archive becomes a path on the host.
 * Hashes every file on the way.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { join, posix } from "node:path";
import { IoError } from "../../base/errors.ts";
import { TarInvalidError } from "../errors.ts";
import { abortable, readFileChunks } from "../stream/byte_stream.ts";
import { decompressDetected } from "../stream/compression.ts";
import { UnpackBudget } from "../stream/unpack_budget.ts";
import { Pace } from "../stream/yielding.ts";
import type { MemberSink, TarMember } from "../tar/member.ts";
import { memberPath } from "../tar/member_path.ts";
import { TarParser } from "../tar/parser.ts";
import { PATH_BYTES_MAX } from "../tree/tree.ts";
import { ArchiveFiles } from "./layout.ts";

/** Most members that an image archive may have. */
export const ARCHIVE_MEMBERS_MAX = 16_384;

/**
 * Unpacks the archive at `path` (plain, gzip or zstd) into `directory`.
 *
 * @param bytesMax Most bytes that the decompressed archive may have. @default {UNPACKED_BYTES_MAX}
 * @throws {TarInvalidError | IoError | AbortedError} What was already unpacked stays; the caller must remove it.
 */
export async function unpackArchive(
  path: string,
  directory: string,
  bytesMax: number | undefined,
  signal: AbortSignal | undefined,
): Promise<ArchiveFiles> {
  const files = new ArchiveFiles(path);
  let count = 0;
  let open: ArchiveMember | undefined;
  const parser = new TarParser((member) => {
    if (++count > ARCHIVE_MEMBERS_MAX) {
      throw new TarInvalidError(member.name, `the archive has more than ${ARCHIVE_MEMBERS_MAX} members`);
    }
    const name = memberPath(member.name, member.name, "its name", "refuse");
    const target = linkTargetOf(member, name);
    if (target !== undefined) files.addLink(name, target);
    if (member.kind !== "file") return undefined;
    open = new ArchiveMember(join(directory, String(count)), (digest, file) =>
      files.addFile(name, file, digest),
    );
    return open;
  });
  const pace = new Pace("reading an image archive", signal);
  try {
    const source = new UnpackBudget(bytesMax).spend(decompressDetected(readFileChunks(path)));
    for await (const chunk of abortable(source, "reading an image archive", signal)) {
      parser.push(chunk);
      if (pace.isTurnOver()) await pace.turn();
    }
    parser.end();
  } finally {
    open?.close();
  }
  return files;
}

function linkTargetOf(member: TarMember, name: string): string | undefined {
  if (member.linkTarget.length > PATH_BYTES_MAX) {
    const problem = `its link target has ${member.linkTarget.length} bytes: the limit is ${PATH_BYTES_MAX}`;
    throw new TarInvalidError(member.name, problem);
  }
  if (member.kind === "hardlink") return posix.normalize(member.linkTarget);
  if (member.kind === "symlink") return posix.join(posix.dirname(name), member.linkTarget);
  return undefined;
}

/** A file that is being unpacked. */
class ArchiveMember implements MemberSink {
  readonly #path: string;
  readonly #onEnd: (digest: `sha256:${string}`, path: string) => void;
  readonly #hash: Hash = createHash("sha256");
  #descriptor: number | undefined;

  constructor(path: string, onEnd: (digest: `sha256:${string}`, path: string) => void) {
    this.#path = path;
    this.#onEnd = onEnd;
    this.#descriptor = attempt(path, () => openSync(path, "wx", 0o600));
  }

  write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length; ) {
      done += attempt(this.#path, () => writeSync(this.#descriptor!, bytes, done));
    }
  }

  /** Refuses holes: only sparse files have them, and a hole could be larger than any disk. */
  writeZeros(count: number): void {
    if (count > 0) throw new TarInvalidError(undefined, "sparse files are not allowed in an image archive");
  }

  end(): void {
    this.close();
    this.#onEnd(`sha256:${this.#hash.digest("hex")}`, this.#path);
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw new IoError(`write ${path}`, path, error);
  }
}
