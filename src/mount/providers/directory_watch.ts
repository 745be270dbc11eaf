/**
 * Tells of changes in a directory of this machine that others make, however deep. The kernel watches directories one by one, so a
 * tree is a watch for each of its directories. A new one is watched first and looked through afterwards: what was made in between
 * is told, some of it perhaps twice, and nothing is missed.
 *
 * @module
 */
import { type Files, Open } from "../../ffi/files.ts";
import { INOTIFY_HEAD_BYTES, type Inotify, InotifyMask } from "../../ffi/inotify.ts";
import { decodeName, encodeName } from "../names.ts";
import { isBelow, joinPath } from "../paths.ts";
import type { ProviderChange, ProviderEntry } from "../provider.ts";
import { ReadableWait } from "./readable_wait.ts";

/** Directories of one watch. The kernel has a bound of its own, for each user: fs.inotify.max_user_watches. */
const DIRECTORIES_MAX = 65_536;
const EVENT_BYTES = 64 * 1024;
/** Directories that are looked through before anything else is done. */
const DIRECTORIES_A_TURN = 64;
/** For the second half of a move, which follows the first at once. */
const MOVE_WAIT_MS = 20;

/** File systems whose every change goes through this machine's kernel: numbers of `<linux/magic.h>`. */
const LOCAL_FILE_SYSTEMS: ReadonlySet<bigint> = new Set([
  0xef53n, // ext2, ext3, ext4
  0x5846_5342n, // xfs
  0x9123_683en, // btrfs
  0xf2f5_2010n, // f2fs
  0xca45_1a4en, // bcachefs
  0x2fc1_2fc1n, // zfs
  0x0102_1994n, // tmpfs
  0x8584_58f6n, // ramfs
  0x794c_7630n, // overlayfs
]);

const M = InotifyMask;
const MASK =
  M.modify |
  M.attributes |
  M.closeWrite |
  M.movedFrom |
  M.movedTo |
  M.create |
  M.delete |
  M.onlyDirectory |
  M.excludeUnlinked;

/** What it watches. */
export interface WatchedDirectory {
  readonly files: Files;
  readonly inotify: Inotify;
  /** Opens a directory by its path, or gives a negative errno. */
  open(path: string): number;
  /** What is in a directory. */
  list(path: string): readonly ProviderEntry[];
  /** The name of the only file that is of interest, if it is a file that is watched. */
  readonly only: string | undefined;
}

interface Event {
  readonly watch: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

/** The first half of a move. */
interface Moving {
  readonly cookie: number;
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isOwn: boolean;
}

/** See the module. */
export class DirectoryWatch {
  readonly #of: WatchedDirectory;
  readonly #changed: (change: ProviderChange) => void;
  readonly #fd: number;
  readonly #room = new Uint8Array(EVENT_BYTES);
  readonly #wait: ReadableWait;
  readonly #paths = new Map<number, string>();
  readonly #watches = new Map<string, number>();
  /** Watches of directories that other machines may change: this one's kernel does not tell of that. */
  readonly #remote = new Set<number>();
  /** Watched directories that must be looked through. A guest can make and remove them faster than that. */
  readonly #ahead = new Set<string>();
  #turn: ReturnType<typeof setTimeout> | undefined;
  #moving: Moving | undefined;
  #moveTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #isIncomplete = false;

  /** @throws {Error} if the kernel gives no watch. */
  constructor(of: WatchedDirectory, changed: (change: ProviderChange) => void) {
    this.#of = of;
    this.#changed = changed;
    const { inotify } = of;
    this.#fd = inotify.open();
    if (this.#fd < 0) throw new Error(`Cannot watch: errno ${-this.#fd} of inotify_init1(2)`);
    this.#enter("/", false);
    this.#wait = new ReadableWait(
      inotify,
      this.#fd,
      () => !this.#isClosed && this.drain(),
      () => inotify.close(this.#fd),
    );
  }

  /** Whether some directories are not watched, as there are too many. */
  get isIncomplete(): boolean {
    return this.#isIncomplete;
  }

  /** Whether every change in a directory is told from now on. */
  isWatched(directory: string): boolean {
    const watch = this.#watches.get(directory);
    return watch !== undefined && !this.#isClosed && !this.#remote.has(watch);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#turn);
    clearTimeout(this.#moveTimer);
    this.#wait.stop();
  }

  /** Changes `paths` without a report, because the guest asked for the change. */
  own<T>(paths: readonly string[], change: () => T): T {
    this.drain();
    try {
      return change();
    } finally {
      this.drain(new Set(paths));
    }
  }

  /** Takes all events that are there. */
  drain(own?: ReadonlySet<string>): void {
    if (this.#isClosed) return;
    for (;;) {
      const size = this.#of.inotify.read(this.#fd, this.#room);
      if (size <= 0) break;
      for (const event of eventsOf(this.#room.subarray(0, size))) this.#handle(event, own);
    }
    if (this.#moving !== undefined)
      this.#moveTimer ??= setTimeout(() => {
        this.#moveTimer = undefined;
        this.drain();
        this.#endMove();
      }, MOVE_WAIT_MS);
  }

  #handle({ watch, mask, cookie, name }: Event, own: ReadonlySet<string> | undefined): void {
    if ((mask & M.overflow) !== 0) return this.#startOver();
    const directory = this.#paths.get(watch);
    if (directory === undefined) return;
    if ((mask & M.ignored) !== 0) {
      this.#remote.delete(watch);
      return this.#forget(watch, directory);
    }
    const { only } = this.#of;
    if (name === "" || (only !== undefined && name !== only)) return;
    const path = only === undefined ? joinPath(directory, name) : "/";
    const isDirectory = (mask & M.isDirectory) !== 0;
    const isOwn = own?.has(path) === true;
    const tell = (kind: ProviderChange["kind"]) => !isOwn && this.#changed({ kind, path, isDirectory });
    if ((mask & M.movedTo) !== 0) return this.#arrive(path, isDirectory, cookie, isOwn);
    this.#endMove();
    if ((mask & M.movedFrom) !== 0) this.#moving = { cookie, path, isDirectory, isOwn };
    if ((mask & M.create) !== 0) {
      tell("created");
      if (isDirectory) this.#enter(path, !isOwn);
    }
    if ((mask & (M.modify | M.closeWrite)) !== 0) tell("modified");
    if ((mask & M.attributes) !== 0) tell("attributes");
    if ((mask & M.delete) !== 0) tell("removed");
  }

  /** The second half of a move, or something that has come from elsewhere. */
  #arrive(path: string, isDirectory: boolean, cookie: number, isOwn: boolean): void {
    const moving = this.#moving;
    if (moving?.cookie !== cookie) {
      this.#endMove();
      if (!isOwn) this.#changed({ kind: "created", path, isDirectory });
      if (isDirectory) this.#enter(path, false);
      return;
    }
    this.#moving = undefined;
    if (isDirectory) this.#moveWatches(moving.path, path);
    if (!isOwn && this.#of.only === undefined)
      this.#changed({ kind: "renamed", from: moving.path, path, isDirectory });
    else if (!isOwn) this.#changed({ kind: "modified", path });
  }

  /** An entry that has left, and has not arrived anywhere else. */
  #endMove(): void {
    const moving = this.#moving;
    if (moving === undefined) return;
    this.#moving = undefined;
    const { path, isDirectory, isOwn } = moving;
    if (isDirectory)
      for (const [watched, watch] of this.#watches)
        if (isBelow(watched, path)) {
          this.#of.inotify.remove(this.#fd, watch);
          this.#forget(watch, watched);
        }
    if (!isOwn) this.#changed({ kind: "removed", path, isDirectory });
  }

  #moveWatches(from: string, to: string): void {
    for (const [path, watch] of [...this.#watches])
      if (isBelow(path, from)) {
        const moved = to + path.slice(from.length);
        if (this.#ahead.has(path)) this.#ahead.add(moved);
        this.#forget(watch, path);
        this.#remember(watch, moved);
      }
  }

  #remember(watch: number, path: string): void {
    this.#paths.set(watch, path);
    this.#watches.set(path, watch);
  }

  #forget(watch: number, path: string): void {
    this.#paths.delete(watch);
    if (this.#watches.get(path) !== watch) return;
    this.#watches.delete(path);
    this.#ahead.delete(path);
  }

  /** Watches a directory now, and those in it soon. */
  #enter(path: string, isNew: boolean): void {
    const { files, inotify, only } = this.#of;
    const fd = this.#of.open(path);
    if (fd < 0) return; // gone again, which will be told, or not readable for this process
    const watch = this.#paths.size < DIRECTORIES_MAX ? inotify.add(this.#fd, fd, MASK) : -1;
    if (watch >= 0 && !isLocal(files, fd)) this.#remote.add(watch);
    files.close(fd);
    if (watch < 0) {
      if (!this.#isIncomplete) this.#changed({ kind: "lost", path: "/" });
      this.#isIncomplete = true;
      return;
    }
    this.#remember(watch, path);
    if (only !== undefined) return;
    // What is new may hold something already; what was there before can wait.
    if (isNew) this.#lookThrough(path, true);
    else this.#ahead.add(path);
    this.#turn ??= setTimeout(() => this.#goAhead());
  }

  #goAhead(): void {
    this.#turn = undefined;
    for (const path of [...this.#ahead.values().take(DIRECTORIES_A_TURN)]) {
      this.#ahead.delete(path);
      this.#lookThrough(path, false);
    }
    if (this.#ahead.size > 0) this.#turn = setTimeout(() => this.#goAhead());
  }

  #lookThrough(path: string, isNew: boolean): void {
    let entries: readonly ProviderEntry[];
    try {
      entries = this.#of.list(path);
    } catch {
      return; // gone, which will be told
    }
    for (const { name, type } of entries) {
      const child = joinPath(path, name);
      const isDirectory = type === "directory";
      if (isNew) this.#changed({ kind: "created", path: child, isDirectory });
      if (isDirectory && !this.#watches.has(child)) this.#enter(child, isNew);
    }
  }

  /** Events were lost: directories may have come, gone and moved. */
  #startOver(): void {
    this.#moving = undefined;
    this.#paths.clear();
    this.#watches.clear();
    this.#ahead.clear();
    this.#enter("/", false);
    this.#changed({ kind: "lost", path: "/" });
  }
}

/** Whether a file is on a file system that this machine alone changes, by `f_type` of statfs(2). */
function isLocal(files: Files, fd: number): boolean {
  const statistics = files.statistics(fd);
  return typeof statistics !== "number" && LOCAL_FILE_SYSTEMS.has(BigInt.asUintN(32, statistics[0] ?? 0n));
}

/** `struct inotify_event`, one after the other. */
function* eventsOf(bytes: Uint8Array): Generator<Event, void, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let offset = 0; offset + INOTIFY_HEAD_BYTES <= bytes.length; ) {
    const begin = offset + INOTIFY_HEAD_BYTES;
    const end = begin + view.getUint32(offset + 12, true);
    const name = bytes.subarray(begin, end);
    const zero = name.indexOf(0);
    yield {
      watch: view.getInt32(offset, true),
      mask: view.getUint32(offset + 4, true),
      cookie: view.getUint32(offset + 8, true),
      name: decodeName(zero === -1 ? name : name.subarray(0, zero)),
    };
    offset = end;
  }
}

/** The path of a directory as `Files` wants it. */
export function openForWatch(files: Files, root: number, path: string): number {
  return files.openBeneath(root, encodeName(path.slice(1)), Open.pathOnly | Open.directory);
}
