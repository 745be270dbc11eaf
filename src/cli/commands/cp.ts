/** `msb cp`: files between this machine and sandboxes. @module */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import {
  type FileCopyOptions,
  type FileCopyResult,
  FileNotFoundError,
  Sandbox,
  type SandboxFsOps,
  type SkippedFile,
} from "../../../mod.ts";
import type { CliContext } from "../context.ts";
import {
  type CopyPlace,
  type Found,
  NoDirectoryError,
  parseCopyPlace,
  sourceName,
  targetOf,
} from "../copy_place.ts";
import { ExitStatus } from "../exit_status.ts";
import { formatBytes } from "../format.ts";
import { parseCount, parseSizeMiB } from "../parse.ts";
import { showProgress } from "../progress.ts";
import { scratchDirectory } from "../scratch_file.ts";
import { readTar, writeTar } from "../tar_pipe.ts";
import { escapeControls } from "../terminal_text.ts";

const MIB = 1024 * 1024;
/** Left out as such files are everywhere: no failure. */
const EXPECTED: ReadonlySet<string> = new Set(["fifo", "socket", "device"]);

/** What the flags say. */
interface CopyFlags {
  readonly user: string | undefined;
  readonly followLinks: boolean;
  readonly limits: { readonly bytesMax: number | undefined; readonly entriesMax: number | undefined };
}

export function cpCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("cp")
    .summary("copy files to and from a sandbox")
    .description(
      "Copies a file or a directory between this machine and a running sandbox, or from one sandbox to another. " +
        "SANDBOX:PATH is in a sandbox; any other path is on this machine; - is a tar on standard input or output.\n\n" +
        "A directory that is there gets the copy in it, under its own name, as with `cp -r`; SRC/. copies what is in SRC. " +
        "Directories above the copy are made.",
    )
    .argument("<source>", "what to copy: a path, SANDBOX:PATH, or -")
    .argument("<target>", "where to: a path, SANDBOX:PATH, or -")
    .option("-L, --follow-links", "copy what symbolic links of this machine lead to, not the links")
    .option("-u, --user <user>", "user in the sandbox who reads or writes: name, uid, name:group or uid:gid")
    .option("--max-size <size>", "most content to take out of a sandbox in all (default: 16G)", parseSizeMiB)
    .option("--max-files <count>", "most files to take out of a sandbox (default: 1000000)", parseCount)
    .option("-q, --quiet", "no progress")
    .addHelpText(
      "after",
      "\nExamples:\n  msb cp ./project box:/srv/project\n  msb cp box:/srv/project/dist ./dist\n  msb cp ./etc/. box:/etc\n  msb cp box:/srv - | tar t",
    )
    .action(async (source, target, { followLinks = false, user, maxSize, maxFiles, quiet }, command) => {
      const [from, to] = [parseCopyPlace(source), parseCopyPlace(target)];
      if (from.kind !== "sandbox" && to.kind !== "sandbox")
        return command.error("error: one of the two must be in a sandbox: SANDBOX:PATH");
      if (to.kind === "stream" && cli.stdout.isTerminal)
        return command.error("error: a tar is nothing for a terminal: redirect the output");
      if (from.kind === "stream" && cli.stdin.isTTY === true)
        return command.error("error: a tar is read from standard input: tar c . | msb cp - SANDBOX:PATH");
      if (followLinks && from.kind === "sandbox")
        return command.error("error: --follow-links is for links of this machine");
      const bytesMax = maxSize === undefined ? undefined : maxSize * MIB;
      const flags = { user, followLinks, limits: { bytesMax, entriesMax: maxFiles } };
      using progress = showProgress(cli.stderr, { quiet });
      const options: FileCopyOptions = {
        user,
        signal: cli.signal,
        skipUnreadable: true,
        onProgress: (done) => progress.step(summary(done)),
      };
      try {
        const result = await copyAny(cli, from, to, flags, options);
        progress[Symbol.dispose]();
        await report(cli, result, quiet);
      } catch (error) {
        if (!(error instanceof NoDirectoryError)) throw error;
        progress[Symbol.dispose]();
        cli.exitStatus = ExitStatus.failure;
        await cli.stderr.line(`${cli.stderr.style("red", "error:")} ${escapeControls(error.message)}`);
      }
    });
}

type Place = Exclude<CopyPlace, { readonly kind: "stream" }>;
type SandboxPlace = Extract<CopyPlace, { readonly kind: "sandbox" }>;

async function copyAny(
  cli: CliContext,
  from: CopyPlace,
  to: CopyPlace,
  flags: CopyFlags,
  options: FileCopyOptions,
): Promise<FileCopyResult> {
  if (from.kind === "stream" && to.kind === "sandbox") return await copyFromTar(cli, to, options);
  if (from.kind === "sandbox" && to.kind === "stream") return await copyToTar(cli, from, flags, options);
  if (from.kind === "stream" || to.kind === "stream") throw new TypeError("one of the two is in a sandbox");
  return await copy(from, to, flags, options);
}

async function copy(
  from: Place,
  to: Place,
  flags: CopyFlags,
  options: FileCopyOptions,
): Promise<FileCopyResult> {
  if (from.kind === "sandbox" && to.kind === "sandbox") return await copyAcross(from, to, flags, options);
  if (to.kind === "sandbox") {
    const files = await filesOf(to.sandbox);
    const source = { ...sourceName(from), isDirectory: lookHere(from.path) !== "other" }; // what is not there is told below
    const target = targetOf(source, { path: to.path, found: await look(files, to.path, options) });
    return await files.copyFromHost(from.path, target, { ...options, followLinks: flags.followLinks });
  }
  if (from.kind !== "sandbox") throw new TypeError("one of the two is in a sandbox");
  const files = await filesOf(from.sandbox);
  const source = {
    ...sourceName(from),
    isDirectory: (await look(files, from.path, options)) === "directory",
  };
  const target = targetOf(source, { path: to.path, found: lookHere(to.path) });
  return await files.copyToHost(from.path, target, { ...options, ...flags.limits });
}

/** Through a directory of this machine, which is gone afterwards. */
async function copyAcross(
  from: Place,
  to: Place,
  flags: CopyFlags,
  options: FileCopyOptions,
): Promise<FileCopyResult> {
  using scratch = scratchDirectory();
  const { name, isContent } = sourceName(from);
  const between = join(scratch.path, name === "" ? "copy" : name);
  const out = await copy(from, { kind: "host", path: between }, flags, options);
  const path = isContent || name === "" ? `${between}/.` : between;
  return joined(out, await copy({ kind: "host", path }, to, flags, options));
}

/** As a tar to standard output, with its content alone or under its own name. */
async function copyToTar(
  cli: CliContext,
  from: SandboxPlace,
  flags: CopyFlags,
  options: FileCopyOptions,
): Promise<FileCopyResult> {
  using scratch = scratchDirectory();
  const { name, isContent } = sourceName(from);
  const copied = name === "" ? "copy" : name;
  const result = await copy(from, { kind: "host", path: join(scratch.path, copied) }, flags, options);
  if (isContent || name === "") await writeTar(cli, join(scratch.path, copied), ".");
  else await writeTar(cli, scratch.path, copied);
  return result;
}

/** From a tar on standard input, into a directory of a sandbox. */
async function copyFromTar(
  cli: CliContext,
  to: SandboxPlace,
  options: FileCopyOptions,
): Promise<FileCopyResult> {
  using scratch = scratchDirectory();
  const content = join(scratch.path, "content");
  mkdirSync(content, { mode: 0o755 }); // what the directory gets, unless the tar says otherwise
  await readTar(cli, content);
  return await (await filesOf(to.sandbox)).copyFromHost(content, to.path, options);
}

function joined(first: FileCopyResult, last: FileCopyResult): FileCopyResult {
  return {
    ...last,
    skipped: [...first.skipped, ...last.skipped],
    skippedCount: first.skippedCount + last.skippedCount,
  };
}

async function filesOf(name: string): Promise<SandboxFsOps> {
  return (await (await Sandbox.get(name)).connect()).fs();
}

async function look(files: SandboxFsOps, path: string, { user, signal }: FileCopyOptions): Promise<Found> {
  try {
    return (await files.stat(path, { user, signal })).kind === "directory" ? "directory" : "other";
  } catch (error) {
    if (error instanceof FileNotFoundError) return "nothing";
    throw error;
  }
}

function lookHere(path: string): Found {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return "nothing";
  return status.isDirectory() ? "directory" : "other";
}

async function report(cli: CliContext, result: FileCopyResult, quiet: true | undefined): Promise<void> {
  const { stderr } = cli;
  for (const skipped of result.skipped)
    await stderr.line(`${stderr.style("yellow", "warning:")} ${escapeControls(leftOut(skipped))}`);
  const untold = result.skippedCount - result.skipped.length;
  if (untold > 0) await stderr.line(`${stderr.style("yellow", "warning:")} left out ${untold} more`);
  if (untold > 0 || result.skipped.some(({ reason }) => !EXPECTED.has(reason)))
    cli.exitStatus = ExitStatus.failure;
  if (stderr.isTerminal && quiet !== true) await stderr.line(summary(result));
}

function leftOut({ path, reason }: SkippedFile): string {
  return `left out ${JSON.stringify(path)}: ${REASONS[reason]}`;
}

const REASONS: Readonly<Record<SkippedFile["reason"], string>> = {
  fifo: "it is a FIFO",
  socket: "it is a socket",
  device: "it is a device",
  unreadable: "it cannot be read",
  name: "its name is not UTF-8, which Deno cannot say",
  loop: "it leads back to a directory that it is in",
  vanished: "it was gone when its turn came",
};

function summary({ files, bytes }: { readonly files: number; readonly bytes: number }): string {
  return `${files} ${files === 1 ? "file" : "files"}, ${formatBytes(bytes)}`;
}
