/**
 * The boot disk: a tiny EROFS that holds the guest's agent and the empty directories that it mounts on. The same file
 * boots on every engine; it is made once for each agent and kept in the cache.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../base/bytes.ts";
import { UnsupportedError } from "../base/errors.ts";
import { readAsset } from "../platform/asset.ts";
import { writeErofs } from "./erofs/writer.ts";
import { createDirectory, DEFAULT_METADATA, type FileNode } from "./tree/tree.ts";

/** What the agent expects beside itself: see `guest/boot.c`. */
const DIRECTORIES = ["dev", "proc", "sys", "image", "upper", "root"];
/** Raised when the disk is made in another way. */
const FORMAT_VERSION = 1;

const AGENTS: Readonly<Partial<Record<string, string>>> = { x64: "agent-x86_64", arm64: "agent-aarch64" };

/** The path of the boot disk, which is made in `cacheDirectory` if it is not there. */
export async function ensureBootDisk(cacheDirectory: string): Promise<string> {
  const agentName = AGENTS[process.arch];
  if (agentName === undefined) throw new UnsupportedError(`There is no guest agent for ${process.arch}`);
  const agentPath = `guest/prebuilt/${agentName}`;
  const agent = await readAsset(new URL(`../../${agentPath}`, import.meta.url), agentPath);
  const digest = createHash("sha256").update(agent).digest("hex").slice(0, 16);
  const path = join(cacheDirectory, `boot-${FORMAT_VERSION}-${digest}.erofs`);
  if (existsSync(path)) return path;
  mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 });
  const root = createDirectory();
  for (const name of DIRECTORIES) root.entries.set(name, createDirectory());
  root.entries.set("agent", executable(agent));
  await writeErofs(root, path, { volumeName: "msb-boot" });
  return path;
}

function executable(bytes: Bytes): FileNode {
  return {
    kind: "file",
    ...DEFAULT_METADATA,
    content: {
      sizeBytes: bytes.length,
      async *read() {
        yield { offsetBytes: 0, bytes };
      },
    },
  };
}
