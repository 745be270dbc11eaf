/**
 * Checks that no other user of this machine could have created a file, or could replace it.
 *
 * A path is trusted if this user or root owns the file and each directory and link that leads to it, and no other user
 * can write to them. Directories with the sticky bit, such as `/tmp`, may be open to all if they only lead to the file:
 * only the owner of an entry can rename or remove it there. Once a path has passed, no other user can change what it names.
 *
 * @module
 */
import { lstatSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join, parse, resolve } from "node:path";
import { IoError, MicrosandboxError } from "../base/errors.ts";

/** As in Linux's own path walk (`MAXSYMLINKS`). */
const LINKS_MAX = 40;

const ROOT_UID = 0;
const OTHERS_WRITE = 0o002;
const GROUP_WRITE = 0o020;
const STICKY = 0o1000;

/** Another user could have created this file, or could replace it. Its content was not used. */
export class UntrustedPathError extends MicrosandboxError {
  /** The file or directory that was to be used. */
  readonly path: string;
  /** The part of the path that is at fault: `path` itself, or a directory or link that leads to it. */
  readonly culprit: string;

  /** @internal */
  constructor(path: string, culprit: string, problem: string, hint: string) {
    const what = culprit === path ? "it" : culprit;
    super("untrustedPath", `Cannot trust ${path}: ${what} ${problem}`, { hint });
    this.path = path;
    this.culprit = culprit;
  }
}

/** Whom to trust. */
export interface TrustOptions {
  /** A user to trust beside this one and root. */
  readonly alsoUser?: number | undefined;
}

/**
 * Checks that no other user could have created what is at `path`, or could replace it.
 *
 * @returns The path with all links resolved.
 * @throws {UntrustedPathError} which names the part of the path that is at fault.
 * @throws {IoError} if there is no such file, or it cannot be examined.
 */
export function checkTrusted(path: string, options: TrustOptions = {}): string {
  const wanted = resolve(path);
  let current = parse(wanted).root;
  const ahead = partsOf(wanted);
  checkEntry(wanted, current, statusOf(current), ahead.length === 0, options);
  let links = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (name === "..") {
      current = dirname(current); // only a link's target has these; `current` itself has no links
      continue;
    }
    const entry = join(current, name);
    const status = statusOf(entry);
    if (status.isSymbolicLink()) {
      checkOwner(wanted, entry, status, options);
      if (++links > LINKS_MAX) throw new IoError(`examine ${wanted}`, wanted, new Error("too many links"));
      const target = readlinkSync(entry);
      if (target.startsWith("/")) current = parse(wanted).root;
      ahead.push(...partsOf(target));
    } else {
      checkEntry(wanted, entry, status, ahead.length === 0, options);
      current = entry;
    }
  }
  return current;
}

/** Whether `path` exists and passes {@linkcode checkTrusted}. @throws {IoError} if it cannot be examined. */
export function isTrusted(path: string, options: TrustOptions = {}): boolean {
  try {
    checkTrusted(path, options);
    return true;
  } catch (error) {
    if (error instanceof UntrustedPathError || isAbsence(error)) return false;
    throw error;
  }
}

/** The user whose rights this process has. */
export function ownUid(): number {
  const uid = process.geteuid?.() ?? process.getuid?.();
  if (uid === undefined) throw new Error("this system has no users");
  return uid;
}

/** The names in a path, the first one last. */
function partsOf(path: string): string[] {
  return path
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .reverse();
}

function statusOf(path: string): Stats {
  try {
    return lstatSync(path);
  } catch (error) {
    throw new IoError(`examine ${path}`, path, error);
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof IoError && (error.errno === "ENOENT" || error.errno === "ENOTDIR");
}

function checkEntry(
  path: string,
  entry: string,
  status: Stats,
  isLast: boolean,
  options: TrustOptions,
): void {
  checkOwner(path, entry, status, options);
  const isShared = status.isDirectory() && !isLast && (status.mode & STICKY) !== 0;
  if (isShared) return;
  const mode = (status.mode & 0o777).toString(8);
  const hint = `make it writable for its owner alone: chmod go-w ${entry}`;
  if ((status.mode & OTHERS_WRITE) !== 0) {
    throw new UntrustedPathError(path, entry, `can be written by every user (mode ${mode})`, hint);
  }
  if ((status.mode & GROUP_WRITE) !== 0 && !isGroupTrusted(status.gid, options)) {
    const problem = `can be written by the members of group ${status.gid} (mode ${mode})`;
    throw new UntrustedPathError(path, entry, problem, hint);
  }
}

function checkOwner(path: string, entry: string, { uid }: Stats, options: TrustOptions): void {
  if (isUserTrusted(uid, options)) return;
  throw new UntrustedPathError(
    path,
    entry,
    `belongs to user ${uid}`,
    `run this as that user, or use a path that belongs to you (user ${ownUid()}) or root`,
  );
}

function isUserTrusted(uid: number, { alsoUser }: TrustOptions): boolean {
  return uid === ROOT_UID || uid === ownUid() || uid === alsoUser;
}

/**
 * Whether all members of a group are trusted. Distributions that give each user a group of their own set a umask of 002,
 * so that this group can write to everything that the user creates.
 */
function isGroupTrusted(gid: number, options: TrustOptions): boolean {
  const groups = databaseRows("/etc/group").filter(([, , id]) => id === String(gid));
  if (groups.length === 0) return false; // its members are known to a directory service only
  const users = databaseRows("/etc/passwd");
  const names = new Set(groups.flatMap(([, , , members = ""]) => members.split(",").filter(Boolean)));
  const members = users.filter(([name, , , primary]) => primary === String(gid) || names.has(name ?? ""));
  const known = new Set(members.map(([name]) => name));
  return (
    [...names].every((name) => known.has(name)) &&
    members.every(([, , uid]) => isUserTrusted(Number(uid), options))
  );
}

/** The rows of passwd(5) or group(5). */
function databaseRows(path: string): string[][] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch {
    return []; // without this file no group is trusted
  }
}
