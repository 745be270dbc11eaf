/**
 * What a copy did: counted as it goes, and told at the end.
 *
 * @module
 */

/** Why something was left out of a copy. */
export type SkipReason =
  /** Files that hold no content, and could do harm where they do not belong. */
  | "fifo"
  | "socket"
  | "device"
  /** It may not be read; only with `skipUnreadable`. */
  | "unreadable"
  /** This runtime cannot say its name, which is not UTF-8 (Deno); only with `skipUnreadable`. */
  | "name"
  /** A link that leads back to a directory that it is in; only with `skipUnreadable`. */
  | "loop"
  /** It was gone when its turn came. */
  | "vanished";

/** Something that was left out of a copy. */
export interface SkippedFile {
  /** Relative to the top of what was copied; `""` is the top itself. Bytes that are not UTF-8 are U+FFFD. */
  readonly path: string;
  /** Why. */
  readonly reason: SkipReason;
}

/** What was copied. */
export interface FileCopyResult {
  /** Regular files, hard links among them. */
  readonly files: number;
  /** Directories. */
  readonly directories: number;
  /** Symbolic links. */
  readonly links: number;
  /** Content of files, in bytes; holes do not count. */
  readonly bytes: number;
  /** What was left out, at most the first 1,000 of them. */
  readonly skipped: readonly SkippedFile[];
  /** How many were left out. */
  readonly skippedCount: number;
}

/** How far a copy is. */
export interface FileCopyProgress {
  /** Files that are complete. */
  readonly files: number;
  /** Content of files, in bytes. */
  readonly bytes: number;
  /** What is being copied, relative to the top. A name from a sandbox may hold control characters. */
  readonly path: string;
}

/** The list is for people; a guest decides how long it is. */
const SKIPPED_MAX = 1000;

const decoder = new TextDecoder();

/** Counts what is copied. */
export class CopyTally {
  readonly #onProgress: ((progress: FileCopyProgress) => void) | undefined;
  readonly #skipped: SkippedFile[] = [];
  #files = 0;
  #directories = 0;
  #links = 0;
  #bytes = 0;
  #skippedCount = 0;
  #path: Uint8Array = new Uint8Array(0);

  constructor(onProgress?: (progress: FileCopyProgress) => void) {
    this.#onProgress = onProgress;
  }

  /** Whether nothing was copied or left out. */
  get isEmpty(): boolean {
    return this.#files + this.#directories + this.#links + this.#skippedCount === 0;
  }

  /** What is being copied now. */
  get path(): string {
    return decoder.decode(this.#path);
  }

  get result(): FileCopyResult {
    return {
      files: this.#files,
      directories: this.#directories,
      links: this.#links,
      bytes: this.#bytes,
      skipped: [...this.#skipped],
      skippedCount: this.#skippedCount,
    };
  }

  /** `path` is next; its bytes are copied. */
  begin(path: Uint8Array): void {
    this.#path = path.slice();
  }

  addBytes(count: number): void {
    this.#bytes += count;
    this.#tell();
  }

  addFile(): void {
    this.#files++;
    this.#tell();
  }

  addDirectory(): void {
    this.#directories++;
  }

  addLink(): void {
    this.#links++;
  }

  skip(path: Uint8Array, reason: SkipReason): void {
    this.#skippedCount++;
    if (this.#skipped.length < SKIPPED_MAX) this.#skipped.push({ path: decoder.decode(path), reason });
  }

  #tell(): void {
    this.#onProgress?.({ files: this.#files, bytes: this.#bytes, path: this.path });
  }
}
