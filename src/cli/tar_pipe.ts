/**
 * Tars on standard input and output, by this machine's `tar`.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import type { CliContext } from "./context.ts";

/** Owners of a guest are not known here, and this machine's mean nothing elsewhere. */
const WRITE = ["--owner=0", "--group=0", "--numeric-owner", "-cf", "-"];
/** With modes as they are, and this user as the owner. */
const READ = ["-xpof", "-"];

/** Writes what `name` is in `directory` to standard output. */
export async function writeTar(cli: CliContext, directory: string, name: string): Promise<void> {
  const tar = spawn("tar", [...WRITE, "-C", directory, "--", name], {
    stdio: ["ignore", "pipe", "inherit"],
    signal: cli.signal,
  });
  const exited = exitOf(tar);
  for await (const chunk of tar.stdout) await cli.stdout.write(chunk);
  await exited;
}

/** Unpacks standard input into `directory`. */
export async function readTar(cli: CliContext, directory: string): Promise<void> {
  const tar = spawn("tar", [...READ, "-C", directory], {
    stdio: ["pipe", "inherit", "inherit"],
    signal: cli.signal,
  });
  const exited = exitOf(tar);
  try {
    await pipeline(cli.stdin, tar.stdin, { signal: cli.signal });
  } catch (error) {
    cli.signal.throwIfAborted();
    await exited; // tar itself says what is wrong with its input
    throw error;
  }
  await exited;
}

/** Resolves when `tar` has done its work. */
async function exitOf(tar: ChildProcess): Promise<void> {
  const [code, signal] = await once(tar, "exit");
  if (code !== 0)
    throw new Error(`tar ${signal === null ? `exited with ${code}` : `was ended by ${signal}`}`);
}
