/**
 * A guest's agent as an ordinary process, behind the relay of a VM host process: what the library costs without a VM. Its
 * files are those of this machine, in memory where there is such a file system.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentClient } from "../../src/agent/client.ts";
import { SandboxFsOps } from "../../src/sandbox/files/fs_ops.ts";
import { compilePrograms } from "../support/native_programs.ts";
import { NativeHost } from "../vm/native_host.ts";

/** Memory is as fast for all: what is compared is the way there. */
const MEMORY_DIRECTORY = "/dev/shm";

export interface NativeFiles extends AsyncDisposable {
  readonly fs: SandboxFsOps;
  readonly client: AgentClient;
  /** A directory that both sides see. */
  readonly directory: string;
}

export async function openNativeFiles(): Promise<NativeFiles> {
  const parent = existsSync(MEMORY_DIRECTORY) ? MEMORY_DIRECTORY : tmpdir();
  const directory = mkdtempSync(join(parent, "msb-bench-"));
  for (const name of ["programs", "host", "work"]) mkdirSync(join(directory, name));
  const programs = compilePrograms(join(directory, "programs"));
  const host = await NativeHost.start(programs, { directory: join(directory, "host"), logged: true });
  const { client } = host;
  const fs = new SandboxFsOps({ connect: async () => client }, { user: "", cwd: "/" });
  return {
    fs,
    client,
    directory: join(directory, "work"),
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
