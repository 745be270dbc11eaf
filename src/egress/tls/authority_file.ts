/**
 * The authority of a home: made once, even if processes race or are killed.
 *
 * Certificate and key stand in one file, so that there is no moment with one and not the other. It is written elsewhere and
 * gets its name when it is whole; of two processes that do so at once, one wins and both use its file.
 *
 * @module
 */
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { KiB } from "../../base/bytes.ts";
import { errnoOf, InvalidConfigError, IoError } from "../../base/errors.ts";
import { homePaths } from "../../platform/home.ts";
import { ifPresent } from "../../platform/if_present.ts";
import { openRegularSync } from "../../platform/regular_file.ts";
import { stagingPath } from "../../platform/staging.ts";
import { checkTrusted } from "../../platform/trust.ts";
import {
  type AuthorityPems,
  authorityEndMs,
  authorityIssues,
  certificatesIn,
  createAuthority,
} from "./authority.ts";

/** For the owner only: with the key, anyone can pass for any server towards the guests. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** More than two PEM texts; a larger file is not ours. */
const FILE_BYTES_MAX = 64 * KiB;
/** How long before its end an authority is replaced. */
const RENEWAL_MS = 90 * 24 * 60 * 60 * 1000;

/**
 * The authority of `home`. Makes one if it is missing, or expires soon. A running sandbox keeps the one that it
 * started with.
 *
 * @param home A home that was opened.
 * @throws {InvalidConfigError} if the file holds something else.
 * @throws {UntrustedPathError} if another user could have written it.
 * @throws {IoError} if it cannot be read or written.
 */
export function openAuthority(home: string, nowMs: number = Date.now()): AuthorityPems {
  const path = homePaths(home).authority;
  try {
    const present = readAuthority(path, nowMs);
    if (present !== undefined && authorityEndMs(present) - nowMs > RENEWAL_MS) return present;
    publish(home, path, createAuthority(nowMs), present !== undefined);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new IoError(`keep the certificate authority in ${path}`, path, error);
  }
  const made = readAuthority(path, nowMs);
  if (made === undefined) throw new IoError(`read ${path}`, path, new Error("it was removed just now"));
  return made;
}

/** @throws the system's error, besides those of {@linkcode openAuthority}. */
function readAuthority(path: string, nowMs: number): AuthorityPems | undefined {
  const descriptor = ifPresent(() => openRegularSync(path, constants.O_RDONLY));
  if (descriptor === undefined) return undefined;
  try {
    checkTrusted(path);
    const { size, mode } = fstatSync(descriptor);
    if ((mode & 0o077) !== 0) chmodSync(path, FILE_MODE);
    const text = size > FILE_BYTES_MAX ? "" : readFileSync(descriptor, "utf8");
    return parseAuthority(path, text, nowMs);
  } finally {
    closeSync(descriptor);
  }
}

function parseAuthority(path: string, text: string, nowMs: number): AuthorityPems {
  const [key = ""] = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/.exec(text) ?? [];
  const pems = { certificate: certificatesIn(text).join(""), key: `${key}\n` };
  // An expired one is renewed, so its time is not a reason to refuse it here.
  const issues = authorityIssues(pems, { certificate: path, key: path }, Math.min(nowMs, endOf(pems) - 1));
  if (issues.length === 0) return pems;
  throw new InvalidConfigError(issues, {
    hint: `remove ${path}: another authority is made, which guests trust from their next start on`,
  });
}

function endOf(pems: AuthorityPems): number {
  try {
    return authorityEndMs(pems);
  } catch {
    return Number.POSITIVE_INFINITY; // it is not a certificate, which the check reports better
  }
}

/** Gives `pems` their place. One that another process put there in this moment stays, unless `isRenewal`. */
function publish(home: string, path: string, { certificate, key }: AuthorityPems, isRenewal: boolean): void {
  mkdirSync(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
  const staged = stagingPath(home);
  try {
    const descriptor = openSync(staged, "wx", FILE_MODE);
    try {
      writeFileSync(descriptor, certificate + key);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    if (isRenewal) renameSync(staged, path);
    else linkIfAbsent(staged, path);
  } finally {
    rmSync(staged, { force: true });
  }
}

function linkIfAbsent(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}
