/** The file of a home's authority: made once, private, whole, and replaced in time. @module */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { InvalidConfigError } from "../../../../src/base/errors.ts";
import { authorityEndMs, createAuthority } from "../../../../src/egress/tls/authority.ts";
import { openAuthority } from "../../../../src/egress/tls/authority_file.ts";
import { homePaths } from "../../../../src/platform/home.ts";
import { sweepStaging } from "../../../../src/platform/staging.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const run = promisify(execFile);
const DAY_MS = 24 * 60 * 60 * 1000;

test("openAuthority() makes one for a home, with mode 0600, and gives the same from then on", () => {
  using home = temporaryDirectory();
  const made = openAuthority(home.path);
  assert.deepEqual(openAuthority(home.path), made);
  assert.equal(statSync(homePaths(home.path).authority).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(homePaths(home.path).trash), []);
});

test("openAuthority() gives four processes at once the same", async () => {
  using home = temporaryDirectory();
  const program = new URL("../../../support/egress/authority_program.ts", import.meta.url).pathname;
  const words = "Bun" in globalThis ? [program] : ["run", "--allow-all", "--no-check", program];
  const env = { ...process.env, MSB_HOME: home.path };
  const outputs = await Promise.all([1, 2, 3, 4].map(() => run(process.execPath, words, { env })));
  assert.equal(new Set(outputs.map(({ stdout }) => stdout)).size, 1);
  assert.equal(outputs[0]?.stdout, openAuthority(home.path).certificate);
});

test("openAuthority() does not mind what a killed process left half-written", () => {
  using home = temporaryDirectory();
  const { trash, authority } = homePaths(home.path);
  mkdirSync(trash);
  writeFileSync(join(trash, "999999999-1-1"), "-----BEGIN CERTIF");
  mkdirSync(join(authority, ".."));
  const made = openAuthority(home.path);
  assert.deepEqual(openAuthority(home.path), made);
  sweepStaging(home.path);
  assert.deepEqual(readdirSync(trash), []);
});

test("openAuthority() replaces one that ends soon, and only that", () => {
  using home = temporaryDirectory();
  const first = openAuthority(home.path);
  const endMs = authorityEndMs(first);
  assert.deepEqual(openAuthority(home.path, endMs - 91 * DAY_MS), first);
  const second = openAuthority(home.path, endMs - 89 * DAY_MS);
  assert.notDeepEqual(second, first);
  assert.deepEqual(openAuthority(home.path, endMs), second);
});

test("openAuthority() closes a file that others can read", () => {
  using home = temporaryDirectory();
  openAuthority(home.path);
  chmodSync(homePaths(home.path).authority, 0o644);
  openAuthority(home.path);
  assert.equal(statSync(homePaths(home.path).authority).mode & 0o777, 0o600);
});

test("openAuthority() refuses a file that is not an authority, names it, and leaves it", () => {
  using home = temporaryDirectory();
  const path = homePaths(home.path).authority;
  openAuthority(home.path);
  const whole = readFileSync(path, "utf8");
  for (const text of ["", whole.slice(0, 300), createAuthority().certificate + createAuthority().key]) {
    writeFileSync(path, text);
    assert.throws(
      () => openAuthority(home.path),
      (error) =>
        error instanceof InvalidConfigError &&
        error.issues[0]?.field === path &&
        /remove/.test(error.hint ?? ""),
    );
    assert.equal(readFileSync(path, "utf8"), text);
  }
});

test("openAuthority() does not follow a link in the place of its file", () => {
  using home = temporaryDirectory();
  const path = homePaths(home.path).authority;
  mkdirSync(join(path, ".."));
  const elsewhere = join(home.path, "elsewhere.pem");
  writeFileSync(elsewhere, "not ours");
  symlinkSync(elsewhere, path);
  assert.throws(() => openAuthority(home.path), { code: "io", errno: "ELOOP" });
  assert.equal(readFileSync(elsewhere, "utf8"), "not ours");
});
