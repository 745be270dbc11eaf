/** A program of the host, as `PATH` has it, that a test stands in for. @module */
import { readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { temporaryDirectory } from "./harness.ts";

/** Comes first in `PATH` while it lasts. */
export class FakeProgram implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly #path: string;
  readonly #before = process.env["PATH"];

  constructor(name: string) {
    this.#path = join(this.#directory.path, name);
    process.env["PATH"] = [this.#directory.path, this.#before ?? ""].join(delimiter);
  }

  /** What it does from now on once it has read its input, in the language of sh(1). */
  write(script: string): void {
    writeFileSync(this.#path, `#!/bin/sh\ncat >>"$0.input"\n${script}\n`, { mode: 0o700 });
  }

  /** What it has read, in all its runs. */
  input(): string {
    return readFileSync(`${this.#path}.input`, "utf8");
  }

  [Symbol.dispose](): void {
    process.env["PATH"] = this.#before;
    this.#directory[Symbol.dispose]();
  }
}
