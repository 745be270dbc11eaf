/**
 * Where a test has a {@linkcode TreeWriter} write, with files beside it that must stay as they are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileCopyRefusedError } from "../../../src/sandbox/files/copy_errors.ts";
import { type CopyToHostOptions, parseCopyToHost } from "../../../src/sandbox/files/copy_options.ts";
import { CopyTally } from "../../../src/sandbox/files/copy_result.ts";
import { type GuestEntry, TreeWriter } from "../../../src/sandbox/files/host_tree/tree_writer.ts";
import { temporaryDirectory } from "../harness.ts";
import { bytesOf } from "./guest_entries.ts";

/** Says that what came last could not be read. */
export const UNREAD: unique symbol = Symbol("unread");
/** What a guest sends: an entry, content, a hole, or {@linkcode UNREAD}. */
export type Sent = GuestEntry | string | { readonly hole: number } | typeof UNREAD;

/** A directory with a target that is not there yet, and files beside it that must stay as they are. */
export class WriterRoom implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly target = join(this.#directory.path, "target");
  readonly outside = join(this.#directory.path, "outside");
  tally = new CopyTally();

  constructor() {
    mkdirSync(this.outside);
    writeFileSync(join(this.outside, "kept"), "kept");
  }

  async write(sent: readonly Sent[], options: CopyToHostOptions = {}): Promise<void> {
    this.tally = new CopyTally();
    using writer = new TreeWriter(this.target, parseCopyToHost(options), this.tally);
    for (const item of sent) {
      if (item === UNREAD) writer.drop();
      else if (typeof item === "string") await writer.write(bytesOf(item));
      else if ("hole" in item) writer.skip(item.hole);
      else writer.take(item);
    }
    writer.finish();
  }

  /** Writes what must be refused; nothing may be there besides the target, and what was outside is as it was. */
  async refuses(sent: readonly Sent[], problem: RegExp): Promise<void> {
    await assert.rejects(this.write(sent), (error) => {
      assert(error instanceof FileCopyRefusedError, String(error));
      assert.match(error.message, problem);
      return true;
    });
    this.checkOutside();
  }

  checkOutside(): void {
    assert.deepEqual(readdirSync(this.outside), ["kept"]);
    assert.equal(readFileSync(join(this.outside, "kept"), "utf8"), "kept");
    const others = readdirSync(this.#directory.path).filter(
      (name) => name !== "outside" && name !== "target",
    );
    assert.deepEqual(others, []);
  }

  at(path: string): string {
    return join(this.target, path);
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}
