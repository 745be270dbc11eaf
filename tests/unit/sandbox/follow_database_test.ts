/**
 * Following events must not open the state database beside SQLite: closing any descriptor of it takes SQLite's locks away
 * from the whole process (fcntl(2)), and another process may then truncate a file that is mapped here.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findProgram } from "../../../src/platform/find_program.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const ROUNDS = 5;
const RUN = "Deno" in globalThis ? ["run", "--allow-all", "--quiet"] : [];
/** SQLite opens each of its files with these; whatever else opens one has no reason to. */
const SQLITE_FLAGS = ["O_RDWR", "O_CREAT", "O_NOFOLLOW"];

test(
  "Sandbox.events() and waitForStatus() leave the state database to SQLite, which opens each of its files once",
  async () => {
    using directory = temporaryDirectory();
    const [home, trace] = [join(directory.path, "home"), join(directory.path, "trace")];
    const program = fileURLToPath(new URL("../../support/host/following_program.ts", import.meta.url));
    const command = [process.execPath, ...RUN, program];
    const strace = ["-f", "-qq", "-e", "trace=open,openat,openat2,creat", "-o", trace];
    const env = { ...process.env, MSB_HOME: home };
    await promisify(execFile)("strace", [...strace, ...command, String(ROUNDS)], { env });

    const directoryOfState = dirname(homePaths(home).state);
    const opened = readFileSync(trace, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, path, flags] = /open(?:at2?)?\((?:[^"]*, )?"([^"]*)", ([A-Z_|]+)/.exec(line) ?? [];
        return path?.startsWith(`${directoryOfState}/`) ? [{ path, flags: flags?.split("|") ?? [] }] : [];
      });
    const strange = opened.filter(({ flags }) => !SQLITE_FLAGS.every((flag) => flags.includes(flag)));
    assert.deepEqual(strange, []);
    const files = ["", "-journal", "-shm", "-wal"].map((suffix) => `${homePaths(home).state}${suffix}`);
    assert.deepEqual(opened.map(({ path }) => path).sort(), files);
  },
  { missing: findProgram("strace") === undefined ? "strace is not installed" : undefined },
);
