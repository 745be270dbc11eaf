/**
 * The file API over a real agent that runs as an ordinary process: what it does is done to this machine's files, where
 * `node:fs` sees it.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentClient } from "../../../src/agent/client.ts";
import { SandboxFsOps } from "../../../src/sandbox/files/fs_ops.ts";
import { temporaryDirectory, test } from "../harness.ts";
import { FakeHost } from "../host/in_process_host.ts";
import { nativeAgentProblem } from "./native_agent.ts";

/** Why a test cannot be that needs root here, to become other users or to make devices. */
export const rootProblem: string | undefined =
  nativeAgentProblem ?? (process.getuid?.() === 0 ? undefined : "needs root");

/** What a test of files works with. */
export interface NativeFiles {
  readonly fs: SandboxFsOps;
  /** A directory of its own, removed afterwards. Relative paths begin there. */
  readonly directory: string;
  readonly client: AgentClient;
  readonly host: FakeHost;
  /** The path of `name` in {@linkcode directory}. */
  at(name: string): string;
}

/** Registers a test of the file API. */
export function fileTest(
  name: string,
  body: (files: NativeFiles) => Promise<void>,
  options: { readonly skip?: string | undefined; readonly timeoutMs?: number } = {},
): void {
  test(name, () => withFiles(body), { skip: nativeAgentProblem, ...options });
}

async function withFiles(body: (files: NativeFiles) => Promise<void>): Promise<void> {
  using temporary = temporaryDirectory();
  await using host = await FakeHost.start();
  const client = await host.connect();
  const directory = temporary.path;
  const fs = filesOf(client, directory);
  await body({ fs, directory, client, host, at: (name) => join(directory, name) });
}

/** The file API over one client. */
export function filesOf(client: AgentClient, cwd: string): SandboxFsOps {
  return new SandboxFsOps({ connect: async () => client }, { user: "", cwd });
}

/** The children of the guest's agent: its file sessions. */
export function sessionPids(host: FakeHost): readonly number[] {
  const { guestPid } = host;
  const text = readFileSync(`/proc/${guestPid}/task/${guestPid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}
