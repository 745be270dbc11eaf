/**
 * Writes a tree that a guest sends below one directory of the host. The guest is hostile, and other processes of the host
 * may change the tree while it is written: nothing is written outside of it.
 *
 * Each directory is made or opened in the one above, which is held open, and no link is followed on the way. A file gets its
 * name once it is complete. What of a guest's attributes is taken: permission bits without set-id and sticky bits, and the
 * time of the last change. Directories that were there keep theirs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { mkdirSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { FileKind, type FileMessageFields } from "../../../agent/file_messages.ts";
import { errnoOf } from "../../../base/errors.ts";
import { type EntryName, entryNameOf } from "../../../platform/path_at.ts";
import { FileCopyLimitError, FileCopyRefusedError, refuseUnreadable } from "../copy_errors.ts";
import type { CopyToHostConfig } from "../copy_options.ts";
import type { CopyTally, SkipReason } from "../copy_result.ts";
import { cutEntryPath, linkTargetOf } from "./entry_path.ts";
import { HostDirectory } from "./host_directory.ts";
import { HostLinks } from "./host_links.ts";
import { PartialFile, partialName, removeIfThere, replaceWith } from "./partial_file.ts";

/** An entry of `walk`. */
export type GuestEntry = FileMessageFields<"entry">;

const PERMISSION_BITS = 0o777;
const SLASH = 0x2f;

const SPECIAL: Readonly<Record<number, SkipReason>> = {
  [FileKind.fifo]: "fifo",
  [FileKind.socket]: "socket",
  [FileKind.characterDevice]: "device",
  [FileKind.blockDevice]: "device",
};

/** A directory that is being filled. */
interface Level {
  readonly path: Buffer;
  readonly name: EntryName;
  readonly directory: HostDirectory;
  /** What it gets when it is complete; `undefined` for one that was there. */
  readonly attributes: KeptAttributes | undefined;
}

/** What is kept of a guest's attributes. */
interface KeptAttributes {
  readonly mode: number;
  readonly modifiedNs: bigint;
}

const NO_PATH = Buffer.alloc(0);

/** What content that comes next is for. */
type Content =
  /** Nothing: there must be none. */
  | { readonly kind: "none" }
  /** Something that is left out. */
  | { readonly kind: "dropped" }
  /** A file that is there already, under another name. */
  | { readonly kind: "link"; readonly level: Level; readonly name: EntryName; readonly entry: GuestEntry }
  | {
      readonly kind: "file";
      readonly level: Level;
      readonly name: EntryName;
      readonly entry: GuestEntry;
      readonly file: PartialFile;
    };

export class TreeWriter implements Disposable {
  readonly #target: string;
  readonly #config: CopyToHostConfig;
  readonly #tally: CopyTally;
  readonly #links = new HostLinks();
  /** The directories from the top to the one that is being filled. */
  readonly #levels: Level[] = [];
  /** Where the top is, if it is no directory. */
  #parent: HostDirectory | undefined;
  #content: Content = { kind: "none" };
  #lastPath: Buffer = NO_PATH;
  #entryCount = 0;
  #receivedBytes = 0;
  /** A directory that the filter has left out, with all that is below. */
  #excluded: Buffer | undefined;

  /** @param target The path that the top gets. Nothing is made before the first entry. */
  constructor(target: string, config: CopyToHostConfig, tally: CopyTally) {
    this.#target = resolve(target);
    this.#config = config;
    this.#tally = tally;
  }

  /** Takes the next entry, each directory before what is in it. */
  take(entry: GuestEntry): void {
    this.#complete();
    this.#tally.begin(entry.path);
    this.#entryCount++;
    if (this.#entryCount > this.#config.entriesMax)
      throw new FileCopyLimitError("entriesMax", this.#config.entriesMax);
    if (this.#entryCount === 1) this.#takeTop(entry);
    else this.#takeBelow(entry);
  }

  /** Takes content of the file that came last. */
  async write(data: Uint8Array): Promise<void> {
    this.#receivedBytes += data.length;
    if (this.#receivedBytes > this.#config.bytesMax)
      throw new FileCopyLimitError("bytesMax", this.#config.bytesMax);
    const file = this.#contentOf(data.length);
    await file?.write(data);
    if (file !== undefined) this.#tally.addBytes(data.length);
  }

  /** Takes a hole in the file that came last. */
  skip(sizeBytes: number): void {
    this.#contentOf(sizeBytes)?.skip(sizeBytes);
  }

  /** What came last could not be read, or not to its end. */
  drop(): void {
    const content = this.#content;
    this.#content = { kind: "none" };
    if (content.kind === "dropped") return;
    if (content.kind === "file") content.file[Symbol.dispose]();
    this.#leaveOut("unreadable", this.#lastPath);
  }

  /** All entries were taken. */
  finish(): void {
    this.#complete();
    if (this.#entryCount === 0) throw new FileCopyRefusedError("the sandbox sends nothing");
    while (this.#levels.length > 0) this.#leave();
  }

  /** Closes what is open, and removes a file that is not complete. */
  [Symbol.dispose](): void {
    if (this.#content.kind === "file") this.#content.file[Symbol.dispose]();
    this.#content = { kind: "none" };
    for (const { directory } of this.#levels.splice(0)) directory[Symbol.dispose]();
    this.#parent?.[Symbol.dispose]();
    this.#parent = undefined;
  }

  #takeTop(entry: GuestEntry): void {
    if (entry.path.length > 0) throw new FileCopyRefusedError("the sandbox does not begin with the top");
    const special = SPECIAL[entry.kind];
    if (special !== undefined) throw new FileCopyRefusedError(`it is a ${special}`);
    const target = this.#target;
    const existing = entry.kind === FileKind.directory ? openIfThere(target) : undefined;
    if (existing !== undefined) return this.#enter(NO_PATH, "", existing, undefined);
    mkdirSync(dirname(target), { recursive: true });
    this.#parent = HostDirectory.open(dirname(target));
    const above = { path: NO_PATH, name: "", directory: this.#parent, attributes: undefined };
    this.#place(above, NO_PATH, basename(target), entry);
  }

  #takeBelow(entry: GuestEntry): void {
    const { parent, name } = cutEntryPath(entry.path);
    const path = Buffer.from(entry.path);
    this.#lastPath = path;
    if (this.#excluded !== undefined && isBelow(path, this.#excluded)) return this.#drop();
    this.#excluded = undefined;
    const level = this.#levelOf(parent);
    const special = SPECIAL[entry.kind];
    if (special !== undefined) return this.#skip(special, path);
    if (this.#config.filter !== undefined && !this.#config.filter(this.#tally.path)) {
      if (entry.kind === FileKind.directory) this.#excluded = path;
      return this.#drop();
    }
    const known = entryNameOf(name);
    if (known === undefined) {
      if (entry.kind === FileKind.directory) this.#excluded = path;
      return this.#skip("name", path);
    }
    this.#place(level, path, known, entry);
  }

  /** The directory with that path, which must be one that is being filled; those below it are complete. */
  #levelOf(path: Buffer): Level {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.path.equals(path)) return level;
      this.#leave();
    }
    throw new FileCopyRefusedError("the sandbox sends something before the directory that it is in");
  }

  #place(level: Level, path: Buffer, name: EntryName, entry: GuestEntry): void {
    switch (entry.kind) {
      case FileKind.directory:
        return this.#placeDirectory(level, path, name, entry);
      case FileKind.symlink:
        return this.#placeSymlink(level, path, name, entry);
      case FileKind.file:
        return this.#placeFile(level, name, entry);
      default:
        throw new FileCopyRefusedError(`the sandbox sends a file of kind ${entry.kind}, which there is not`);
    }
  }

  #placeDirectory({ directory }: Level, path: Buffer, name: EntryName, entry: GuestEntry): void {
    const isNew = directory.makeDirectory(name);
    try {
      this.#enter(path, name, directory.openDirectory(name), isNew ? keptOf(entry) : undefined);
    } catch (error) {
      throw isInTheWay(error) ? conflict(directory, name, "a directory", error) : error;
    }
  }

  #enter(
    path: Buffer,
    name: EntryName,
    directory: HostDirectory,
    attributes: KeptAttributes | undefined,
  ): void {
    this.#levels.push({ path, name, directory, attributes });
    if (this.#levels.length > this.#config.depthMax)
      throw new FileCopyLimitError("depthMax", this.#config.depthMax);
    this.#tally.addDirectory();
  }

  /** The innermost directory is complete. */
  #leave(): void {
    const level = this.#levels.pop();
    if (level === undefined) return;
    using directory = level.directory;
    if (level.attributes === undefined) return;
    directory.setModified(level.attributes.modifiedNs);
    directory.setMode(level.attributes.mode);
  }

  #placeSymlink({ directory }: Level, path: Buffer, name: EntryName, entry: GuestEntry): void {
    const target = linkTargetOf(entry.target);
    if (target === undefined) return this.#skip("name", path);
    const partial = partialName();
    directory.makeSymlink(partial, target);
    directory.setSymlinkModified(partial, entry.modifiedNs);
    this.#rename(directory, partial, name);
    this.#tally.addLink();
  }

  #placeFile(level: Level, name: EntryName, entry: GuestEntry): void {
    if (this.#links.has(entry)) this.#content = { kind: "link", level, name, entry };
    else this.#content = { kind: "file", level, name, entry, file: new PartialFile(level.directory) };
  }

  /** The file that came last is complete. */
  #complete(): void {
    const content = this.#content;
    this.#content = { kind: "none" };
    if (content.kind === "file") {
      const { file, level, name, entry } = content;
      using _ = file;
      const { mode, modifiedNs } = keptOf(entry);
      const identity = this.#inPlace(level.directory, name, () => file.commit(name, mode, modifiedNs));
      this.#links.add(entry, { path: this.#pathFromTop(), name, identity });
      this.#tally.addFile();
    } else if (content.kind === "link") {
      const { level, name, entry } = content;
      const partial = partialName();
      this.#links.make(entry, this.#levels[0]?.directory ?? level.directory, level.directory, partial);
      this.#rename(level.directory, partial, name);
      removeIfThere(level.directory, partial); // a rename to another name of the same file does nothing
      this.#tally.addFile();
    }
  }

  /** The names that lead to the innermost directory. */
  #pathFromTop(): readonly EntryName[] {
    return this.#levels.slice(1).map(({ name }) => name);
  }

  #rename(directory: HostDirectory, partial: EntryName, name: EntryName): void {
    this.#inPlace(directory, name, () => replaceWith(directory, partial, name));
  }

  #inPlace<T>(directory: HostDirectory, name: EntryName, operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      throw isInTheWay(error) ? conflict(directory, name, "a file", error) : error;
    }
  }

  /** The file that content is for; `undefined` if it is left out. Checks how large it becomes. */
  #contentOf(sizeBytes: number): PartialFile | undefined {
    const content = this.#content;
    if (content.kind === "none" || sizeBytes === 0)
      throw new FileCopyRefusedError("the sandbox sends content that belongs to no file");
    if (content.kind !== "file") return undefined;
    const { fileBytesMax } = this.#config;
    if (content.file.sizeBytes + sizeBytes > fileBytesMax)
      throw new FileCopyLimitError("fileBytesMax", fileBytesMax);
    return content.file;
  }

  #skip(reason: SkipReason, path: Buffer): void {
    this.#drop();
    this.#leaveOut(reason, path);
  }

  #drop(): void {
    this.#content = { kind: "dropped" };
  }

  #leaveOut(reason: SkipReason, path: Buffer): void {
    const isUnreadable = reason === "unreadable" || reason === "name";
    if (isUnreadable && !this.#config.skipUnreadable) throw refuseUnreadable(reason);
    this.#tally.skip(path, reason);
  }
}

function keptOf({ mode, modifiedNs }: GuestEntry): KeptAttributes {
  return { mode: mode & PERMISSION_BITS, modifiedNs };
}

/** Opens a directory that the user has named; `undefined` if nothing is there. */
function openIfThere(path: string): HostDirectory | undefined {
  try {
    return HostDirectory.open(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    if (errnoOf(error) !== "ENOTDIR") throw error;
    throw new FileCopyRefusedError(`${path} is there and is not a directory`, { cause: error });
  }
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  return (
    path.length > directory.length &&
    path[directory.length] === SLASH &&
    path.subarray(0, directory.length).equals(directory)
  );
}

/** Whether something of another kind has the name: a directory where a file is to be, or the reverse, or a link. */
function isInTheWay(error: unknown): boolean {
  return ["ENOTDIR", "ELOOP", "EISDIR", "EEXIST", "ENOTEMPTY"].includes(errnoOf(error) ?? "");
}

function conflict(
  directory: HostDirectory,
  name: EntryName,
  what: string,
  cause: unknown,
): FileCopyRefusedError {
  const path = `${directory.path}/${name}`;
  return new FileCopyRefusedError(`${path} is in the way: it is not ${what}`, {
    cause,
    hint: "remove it, or copy to another place",
  });
}
