/**
 * Files that earlier releases wrote, kept as they were: what COMPATIBILITY.md promises is tested against them. A release that
 * changes a format adds a directory; no file here is ever edited.
 *
 * @module
 */
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";

/** The sandbox `web` of the samples. */
export const WEB_ID = "1c8274c6-5366-4494-b4f2-8bebc2ae362d";

const RELEASE_0_8 = join(import.meta.dirname ?? "", "release_0_8");

/** A sample of 0.8 as text. JSON and logs have the ending `.txt`, so that no tool formats or ignores them. */
export function sample(name: string): string {
  return readFileSync(join(RELEASE_0_8, name), "utf8");
}

/** Makes the state database of a home out of its dump, where this release keeps it. */
export function restoreState(home: string): void {
  const path = homePaths(home).state;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path);
  database.exec(sample("state.sql"));
  database.close();
}

/** Copies the log files of `web` to `directory`. */
export function restoreLogs(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const source = join(RELEASE_0_8, "logs");
  for (const name of readdirSync(source))
    cpSync(join(source, name), join(directory, name.replace(/\.txt$/, "")));
}
