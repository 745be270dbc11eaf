/**
 * Watches of directories by the kernel (inotify(7)), which tell of renames and of the order of changes; `node:fs` tells of neither.
 * Calls give what the C function gives, or a negative errno.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { loadNativeInterface } from "./bind.ts";
import { openCLibrary, resultReader } from "./c_library.ts";
import type { Bound, NativeInterface, SymbolTable } from "./symbol_table.ts";

/** Bits of `struct inotify_event.mask`. */
export const InotifyMask = {
  modify: 0x2,
  attributes: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x0100_0000,
  excludeUnlinked: 0x0400_0000,
  isDirectory: 0x4000_0000,
} as const;

/** Bytes of `struct inotify_event` before the name. */
export const INOTIFY_HEAD_BYTES = 16;

const CLOSE_ON_EXEC = 0o2000000;
const NON_BLOCKING = 0o4000;
const POLL_IN = 1;
const POLL_ENTRY_BYTES = 8;
const EINTR = 4;

const SYMBOLS = {
  __errno_location: [[], "address"],
  inotify_init1: [["i32"], "i32"],
  /** fd, path, mask → number of the watch. */
  inotify_add_watch: [["i32", "cstring", "u32"], "i32"],
  inotify_rm_watch: [["i32", "i32"], "i32"],
  /** fd, room, bytes → bytes read. */
  read: [["i32", "buffer", "u64"], "i32"],
  write: [["i32", "buffer", "u64"], "i32"],
  close: [["i32"], "i32"],
  /** initial count, flags → fd. */
  eventfd: [["u32", "i32"], "i32"],
  /** struct pollfd[], their number, milliseconds. */
  poll: [["buffer", "u64", "i32"], "i32"],
} as const satisfies SymbolTable;

const encoder = new TextEncoder();

/** See the module. */
export class Inotify {
  readonly #c: Bound<typeof SYMBOLS>;
  readonly #result: (result: number) => number;

  private constructor(native: NativeInterface, c: Bound<typeof SYMBOLS>) {
    this.#c = c;
    this.#result = resultReader(native, c);
  }

  /** @throws {UnsupportedError} on a runtime without FFI. */
  static async load(): Promise<Inotify> {
    const native = await loadNativeInterface();
    return new Inotify(native, openCLibrary(native, SYMBOLS));
  }

  /** A descriptor that reads events, and waits for none. */
  open(): number {
    return this.#result(this.#c.inotify_init1(CLOSE_ON_EXEC | NON_BLOCKING));
  }

  /** Watches the directory of an open descriptor; gives the watch's number, the same for the same directory. */
  add(fd: number, directory: number, mask: number): number {
    return this.#result(this.#c.inotify_add_watch(fd, encoder.encode(`/proc/self/fd/${directory}\0`), mask));
  }

  remove(fd: number, watch: number): number {
    return this.#result(this.#c.inotify_rm_watch(fd, watch));
  }

  read(fd: number, room: Bytes): number {
    return this.#result(this.#c.read(fd, room, BigInt(room.length)));
  }

  close(fd: number): void {
    this.#c.close(fd);
  }

  /** A descriptor that becomes readable by {@linkcode signal}. */
  openSignal(): number {
    return this.#result(this.#c.eventfd(0, CLOSE_ON_EXEC | NON_BLOCKING));
  }

  signal(fd: number): void {
    this.#c.write(fd, new Uint8Array(new BigUint64Array([1n]).buffer), 8n);
  }

  /** Waits, holding up this thread, until one of the descriptors can be read; tells of each whether it can. */
  waitReadable(fds: readonly number[]): readonly boolean[] {
    const entries = new Uint8Array(POLL_ENTRY_BYTES * fds.length);
    const view = new DataView(entries.buffer);
    fds.forEach((fd, index) => {
      view.setInt32(POLL_ENTRY_BYTES * index, fd, true);
      view.setInt16(POLL_ENTRY_BYTES * index + 4, POLL_IN, true);
    });
    while (this.#result(this.#c.poll(entries, BigInt(fds.length), -1)) === -EINTR);
    return fds.map((_, index) => view.getInt16(POLL_ENTRY_BYTES * index + 6, true) !== 0);
  }
}
