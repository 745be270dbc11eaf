/**
 * Writes a tree of the host into a guest, by requests that are sent without waiting for the answers of those before.
 *
 * Files are replaced once their content is complete there. Mode and time of the last change come along, set-id and sticky
 * bits do not; the owner is the session's user. Directories that were there keep their own.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { BigIntStats } from "node:fs";
import { FileAnswerError } from "../../agent/errors.ts";
import type { FileCall } from "../../agent/file_call.ts";
import { FILE_DATA_BYTES_MAX, FileFlag, FileKind } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { FileCopyRefusedError, refuseUnreadable } from "./copy_errors.ts";
import type { CopyFromHostConfig } from "./copy_options.ts";
import type { CopyTally } from "./copy_result.ts";
import { mayHaveHoles, readContent, readWhole } from "./host_tree/file_content.ts";
import type { HostEntry } from "./host_tree/tree_walk.ts";
import { PendingRequests } from "./pending_requests.ts";

const PERMISSION_BITS = 0o777n;
/** While it is filled, a directory is its owner's alone, and can be filled. */
const NEW_DIRECTORY_MODE = 0o700;
const FILE_FLAGS = FileFlag.create | FileFlag.truncate | FileFlag.setMode | FileFlag.setModified;
/** Content of one message of several: with its head, it fills two frames and needs no third one. */
const PART_BYTES = FILE_DATA_BYTES_MAX - 4096;
/** Files with several names that are remembered; any further ones become files of their own. */
const LINKS_MAX = 100_000;

const NOT_UNREADABLE: readonly string[] = ["fifo", "socket", "device", "vanished"];

interface Directory {
  readonly path: Buffer;
  readonly status: BigIntStats;
  /** Whether it was made; `undefined` until the guest has answered. */
  isNew: boolean | undefined;
}

type EntryOf<K extends HostEntry["kind"]> = Extract<HostEntry, { readonly kind: K }>;

export class GuestTreeWriter {
  readonly #session: FileSession;
  readonly #top: Buffer;
  readonly #config: CopyFromHostConfig;
  readonly #tally: CopyTally;
  readonly #pending = new PendingRequests();
  readonly #buffer = Buffer.allocUnsafe(FILE_DATA_BYTES_MAX);
  readonly #open: Directory[] = [];
  /** Directories that are filled, inner ones first, and have yet to get their attributes. */
  readonly #filled: Directory[] = [];
  /** Where in the guest files with several names are, by what they are on the host. */
  readonly #links = new Map<string, Buffer>();

  /** @param top The path in the guest that the top of the tree gets. */
  constructor(session: FileSession, top: Uint8Array, config: CopyFromHostConfig, tally: CopyTally) {
    this.#session = session;
    this.#top = Buffer.from(top);
    this.#config = config;
    this.#tally = tally;
  }

  /** Takes the next entry of a walk. */
  async take(entry: HostEntry): Promise<void> {
    this.#tally.begin(entry.path);
    this.#config.signal?.throwIfAborted();
    switch (entry.kind) {
      case "directory":
        return await this.#enter(entry);
      case "leave":
        return await this.#leave();
      case "file":
        return await this.#writeFile(entry);
      case "symlink":
        return await this.#writeSymlink(entry);
      case "skipped":
        if (!NOT_UNREADABLE.includes(entry.reason) && !this.#config.skipUnreadable)
          throw refuseUnreadable(entry.reason);
        return this.#tally.skip(entry.path, entry.reason);
    }
  }

  /** Waits until all of it is in the guest. */
  async finish(): Promise<void> {
    await this.#pending.all();
    await this.#completeFilled();
    await this.#pending.all();
  }

  async #enter({ path, status }: EntryOf<"directory">): Promise<void> {
    const isTop = path.length === 0;
    const directory: Directory = { path: this.#inGuest(path), status, isNew: undefined };
    this.#open.push(directory);
    // Of the top it is known first, as parents that are made and a directory that is there are the same to mkdir.
    if (isTop && (await this.#isDirectory(directory.path))) directory.isNew = false;
    else {
      const flags = FileFlag.setMode | (isTop ? FileFlag.parents : 0);
      const call = this.#session.call("mkdir", { path: directory.path, flags, mode: NEW_DIRECTORY_MODE });
      const made = this.#made(call, directory);
      await (isTop ? made : this.#add(path, 0, made));
    }
    this.#tally.addDirectory();
  }

  async #made(call: FileCall, directory: Directory): Promise<void> {
    try {
      await call.result();
      directory.isNew = true;
    } catch (error) {
      if (!(error instanceof FileAnswerError) || error.errno !== GuestErrno.EEXIST) throw error;
      if (!(await this.#isDirectory(directory.path))) throw error;
      directory.isNew = false;
    }
  }

  /** Whether a directory, or a link to one, is there. @throws if something else is, as nothing can be put into it. */
  async #isDirectory(path: Buffer): Promise<boolean> {
    try {
      const answer = await this.#session.call("stat", { path, flags: 0 }).result();
      if (answer.name !== "attributes" || answer.fields.kind === FileKind.directory) return true;
    } catch (error) {
      if (error instanceof FileAnswerError && error.errno === GuestErrno.ENOENT) return false;
      throw error;
    }
    throw new FileCopyRefusedError(`${path} is there and is not a directory`, {
      hint: "remove it, or copy to another place",
    });
  }

  async #leave(): Promise<void> {
    const directory = this.#open.pop();
    if (directory !== undefined) this.#filled.push(directory);
    await this.#completeFilled();
  }

  /** Gives attributes to the directories of which it is known whether they are new. */
  async #completeFilled(): Promise<void> {
    for (let [first] = this.#filled; first?.isNew !== undefined; [first] = this.#filled) {
      this.#filled.shift();
      if (!first.isNew) continue;
      const { path, status } = first;
      const flags = FileFlag.setModified;
      const times = { path, flags, accessedNs: 0n, modifiedNs: status.mtimeNs };
      await this.#add(path, 0, done(this.#session.call("utimes", times)));
      await this.#add(path, 0, done(this.#session.call("chmod", { path, flags: 0, mode: modeOf(status) })));
    }
  }

  async #writeFile({ path, status, descriptor }: EntryOf<"file">): Promise<void> {
    const inGuest = this.#inGuest(path);
    const key = `${status.dev}:${status.ino}`;
    const known = status.nlink > 1n ? this.#links.get(key) : undefined;
    if (known !== undefined) {
      const link = { existing: known, path: inGuest, flags: FileFlag.replace };
      return await this.#add(path, 0, this.#counted(this.#session.call("link", link)));
    }
    const whole = mayHaveHoles(status) ? undefined : readWhole(descriptor, this.#buffer, Number(status.size));
    if (whole === undefined) await this.#stream(path, inGuest, status, descriptor);
    else {
      const call = this.#session.call("write", { ...this.#target(inGuest, status), data: whole });
      this.#tally.addBytes(whole.length);
      await this.#add(path, whole.length, this.#counted(call));
    }
    if (status.nlink > 1n && this.#links.size < LINKS_MAX) this.#links.set(key, inGuest);
  }

  /** A file that needs several messages. They are sent as fast as the guest takes them. */
  async #stream(path: Buffer, inGuest: Buffer, status: BigIntStats, descriptor: number): Promise<void> {
    const target = this.#target(inGuest, status);
    // It gets its name once it is complete: what is given up half way never looks like the whole.
    const call = this.#session.call("writeOpen", { ...target, flags: target.flags | FileFlag.atomic });
    const answered = this.#counted(call);
    answered.catch(() => {}); // it is awaited below; until then what is sent tells that the guest takes no more
    const size = status.size > 0n ? Number(status.size) : Number.POSITIVE_INFINITY; // files of /proc have no size
    const content = readContent(descriptor, PART_BYTES, size, mayHaveHoles(status));
    let isTaken = true;
    for await (const part of content) {
      if (part.kind === "data") {
        isTaken = await call.send("writeData", { data: part.data });
        this.#tally.addBytes(part.data.length);
      } else isTaken = await call.send("writeHole", { size: part.sizeBytes });
      if (!isTaken) break;
      this.#config.signal?.throwIfAborted();
    }
    if (isTaken) await call.send("writeEnd", {});
    await this.#add(path, 0, answered);
  }

  async #writeSymlink({ path, status, target }: EntryOf<"symlink">): Promise<void> {
    const inGuest = this.#inGuest(path);
    const made = this.#session.call("symlink", { path: inGuest, target, flags: FileFlag.replace });
    await this.#add(path, 0, done(made));
    const flags = FileFlag.noFollow | FileFlag.setModified;
    const times = { path: inGuest, flags, accessedNs: 0n, modifiedNs: status.mtimeNs };
    await this.#add(path, 0, done(this.#session.call("utimes", times)));
    this.#tally.addLink();
  }

  #target(path: Buffer, status: BigIntStats) {
    return {
      path,
      flags: FILE_FLAGS | (path === this.#top ? FileFlag.parents : 0),
      mode: modeOf(status),
      offset: 0,
      modifiedNs: status.mtimeNs,
    };
  }

  async #counted(call: FileCall): Promise<void> {
    await call.result();
    this.#tally.addFile();
  }

  #add(path: Buffer, bytes: number, answered: Promise<void>): Promise<void> {
    return this.#pending.add(path.toString(), bytes, answered);
  }

  #inGuest(path: Buffer): Buffer {
    return path.length === 0 ? this.#top : Buffer.concat([this.#top, Buffer.from("/"), path]);
  }
}

async function done(call: FileCall): Promise<void> {
  await call.result();
}

function modeOf({ mode }: BigIntStats): number {
  return Number(mode & PERMISSION_BITS);
}
