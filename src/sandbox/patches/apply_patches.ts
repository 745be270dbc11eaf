/**
 * Applies patches to the files of a sandbox that no program has run in yet.
 *
 * They are written through the file session that users have, by root, so a symbolic link on the way leads where it leads in the
 * guest, and nowhere on this machine.
 *
 * @module
 */
import type { AgentClient } from "../../agent/client.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { AbortedError, IoError } from "../../base/errors.ts";
import { waitFor } from "../../base/wait.ts";
import type { Patch } from "../../options/patch_options.ts";
import { failed, SandboxFsOpsError } from "../files/errors.ts";
import { SandboxFsOps } from "../files/fs_ops.ts";
import type { FsOptions } from "../files/options.ts";
import { PatchFailedError } from "./errors.ts";

const FILE_MODE = 0o644;
/** Held writes continue by themselves after this time, if this process is killed. */
const FLUSH_LEASE_MS = 1_000;
/** What `lstat()` throws if the file is missing. */
const ABSENT: readonly (string | undefined)[] = ["ENOENT", "ENOTDIR"];

/**
 * Applies them in order, and resolves when all of it is on the sandbox's disk: from then on a kill takes none of it away.
 *
 * @throws {PatchFailedError} naming the first that fails; those after it are not tried.
 * @throws {AbortedError} if `signal` fires.
 */
export async function applyPatches(
  client: AgentClient,
  patches: readonly Patch[],
  signal?: AbortSignal,
): Promise<void> {
  const fs = new SandboxFsOps({ connect: async () => client }, { user: "", cwd: "/" });
  for (const [index, patch] of patches.entries()) {
    try {
      await apply(fs, patch, { signal });
    } catch (error) {
      throw error instanceof AbortedError ? error : new PatchFailedError(index, patch, error);
    }
  }
  await waitFor(flush(client), { action: "applying patches", signal });
}

async function apply(fs: SandboxFsOps, patch: Patch, call: FsOptions): Promise<void> {
  switch (patch.kind) {
    case "text":
    case "file": {
      const { path, mode = FILE_MODE, replace = false } = patch;
      const content = patch.kind === "text" ? patch.content : patch.contentBytes;
      return await fs.write(path, content, { ...call, mode, exclusive: !replace, atomic: replace });
    }
    case "append":
      return await fs.write(patch.path, patch.content, {
        ...call,
        append: true,
        create: false,
        createParents: false,
      });
    case "copyFile":
      return await copyFile(fs, patch, call);
    case "copyDir":
      if (patch.replace !== true) await refuseExisting(fs, patch.kind, patch.dst, call);
      await fs.copyFromHost(patch.src, patch.dst, call);
      return;
    case "symlink": {
      const { target, link, replace = false } = patch;
      return await fs.symlink(target, link, { ...call, replace, createParents: true });
    }
    case "mkdir":
      return await fs.mkdir(patch.path, { ...call, mode: patch.mode });
    case "remove":
      return await remove(fs, patch.path, call);
  }
}

async function copyFile(
  fs: SandboxFsOps,
  { kind, src, dst, mode, replace = false }: Extract<Patch, { readonly kind: "copyFile" }>,
  call: FsOptions,
): Promise<void> {
  if (!replace) await refuseExisting(fs, kind, dst, call);
  const { files } = await fs.copyFromHost(src, dst, { ...call, filter: (path) => path === "" });
  // It was a file when the options were checked.
  if (files !== 1) throw new IoError(`copy ${src}`, src, new Error("it is not a file any more"));
  if (mode !== undefined) await fs.chmod(dst, mode, call);
}

async function remove(fs: SandboxFsOps, path: string, call: FsOptions): Promise<void> {
  const kind = await kindOf(fs, path, call);
  if (kind === "directory") await fs.removeDir(path, { ...call, recursive: true, force: true });
  else if (kind !== undefined) await fs.remove(path, { ...call, force: true });
}

/** No program runs in the guest, so a missing file does not appear before it is written. */
async function refuseExisting(
  fs: SandboxFsOps,
  operation: string,
  path: string,
  call: FsOptions,
): Promise<void> {
  const isThere = (await kindOf(fs, path, call)) !== undefined;
  if (isThere) throw failed({ operation, path, user: "" }, GuestErrno.EEXIST);
}

/** What has that name itself; `undefined` if nothing does. */
async function kindOf(fs: SandboxFsOps, path: string, call: FsOptions): Promise<string | undefined> {
  try {
    return (await fs.lstat(path, call)).kind;
  } catch (error) {
    if (error instanceof SandboxFsOpsError && ABSENT.includes(error.errnoName)) return undefined;
    throw error;
  }
}

/** A file system in memory has nothing to be written to. */
async function flush(client: AgentClient): Promise<void> {
  const { on, errno } = await client.freeze(true, FLUSH_LEASE_MS);
  if (on) await client.freeze(false, 0);
  else if (errno !== GuestErrno.EOPNOTSUPP) throw failed({ operation: "write", path: "/", user: "" }, errno);
}
