/**
 * A tree of 10,000 files into a guest and out of it, beside `tar` on both ends of an exec in the same guest.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentClient } from "../../src/agent/client.ts";
import type { SandboxFsOps } from "../../src/sandbox/files/fs_ops.ts";
import { sample } from "../support/figures.ts";

const FILES = 10_000;
const FILES_PER_DIRECTORY = 100;
/** Most files of source trees are smaller than that. */
const FILE_BYTES_MAX = 8 * 1024;
const ENVIRONMENT = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"];

/** Makes a tree of 10,000 files, 40 MB in all. */
export function makeManyFiles(top: string): void {
  for (let number = 0; number < FILES; number++) {
    const directory = join(top, `directory${Math.floor(number / FILES_PER_DIRECTORY)}`);
    if (number % FILES_PER_DIRECTORY === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, `file${number}.txt`),
      Buffer.alloc((number * 37) % FILE_BYTES_MAX, "text "),
    );
  }
}

/** Where to copy between. */
export interface ManyFiles {
  readonly fs: SandboxFsOps;
  readonly client: AgentClient;
  /** The tree on the host. */
  readonly source: string;
  /** A directory of the guest, which is not there. */
  readonly guest: string;
  /** A directory of the host, which is not there. */
  readonly host: string;
}

/** How long each way took, in milliseconds. */
export interface ManyFilesTimes {
  readonly intoMs: readonly number[];
  readonly tarIntoMs: readonly number[];
  readonly outMs: readonly number[];
  readonly tarOutMs: readonly number[];
}

/** Copies in turns with `tar`, each time to where nothing is. */
export async function timeManyFiles(files: ManyFiles, rounds: number): Promise<ManyFilesTimes> {
  const times = { intoMs: [], tarIntoMs: [], outMs: [], tarOutMs: [] } as Record<
    keyof ManyFilesTimes,
    number[]
  >;
  const { fs, source, guest, host } = files;
  for (let round = 0; round < rounds; round++) {
    times.intoMs.push(await elapsedMs(() => fs.copyFromHost(source, guest)));
    times.outMs.push(await elapsedMs(() => fs.copyToHost(guest, host)));
    await removeBoth(files);
    times.tarIntoMs.push(await elapsedMs(() => tarInto(files)));
    times.tarOutMs.push(await elapsedMs(() => tarOut(files)));
    await removeBoth(files);
  }
  return times;
}

/** How many times as fast as `tar` the one and the other way are. */
export function ratiosToTar({ intoMs, tarIntoMs, outMs, tarOutMs }: ManyFilesTimes) {
  return {
    into: sample(tarIntoMs).median / sample(intoMs).median,
    out: sample(tarOutMs).median / sample(outMs).median,
  };
}

async function removeBoth({ fs, guest, host }: ManyFiles): Promise<void> {
  await fs.removeDir(guest, { recursive: true });
  rmSync(host, { recursive: true });
}

async function tarInto({ fs, client, source, guest }: ManyFiles): Promise<void> {
  await fs.mkdir(guest);
  const inGuest = client.startExec(program(["tar", "xf", "-", "-C", guest], true));
  const tar = spawn("tar", ["cf", "-", "-C", source, "."], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const chunk of tar.stdout) await inGuest.stdin.write(chunk);
  await inGuest.stdin.end();
  const { code } = await inGuest.settled;
  if (code !== 0) throw new Error(`tar in the guest exited with ${code}`);
}

async function tarOut({ client, guest, host }: ManyFiles): Promise<void> {
  mkdirSync(host);
  const inGuest = client.startExec(program(["tar", "cf", "-", "-C", guest, "."], false));
  const tar = spawn("tar", ["xf", "-", "-C", host], { stdio: ["pipe", "inherit", "inherit"] });
  const exited = new Promise((resolve) => tar.once("exit", resolve));
  for await (const chunk of inGuest.outputs.get("stdout")?.toReadableStream() ?? [])
    await new Promise((resolve) => tar.stdin.write(chunk, resolve));
  tar.stdin.end();
  const code = await exited;
  if (code !== 0) throw new Error(`tar exited with ${code}`);
}

function program(argv: readonly string[], stdin: boolean) {
  return { argv, env: ENVIRONMENT, cwd: "/", user: "", rlimits: [], stdin };
}

async function elapsedMs(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}
