/**
 * The boot disk: a small EROFS image with the guest agent and the empty directories on which the agent mounts
 * everything else. All engines boot the same file. It is built once per version of the agent and kept in the cache.
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

/** Directories that the agent expects beside itself: see `guest/boot.c`. */
const DIRECTORIES = ["dev", "proc", "sys", "image", "upper", "root"];
/** Version of the disk's layout. Raise it when the contents change for the same agent. */
const FORMAT_VERSION = 1;

const AGENTS: Readonly<Partial<Record<string, string>>> = { x64: "agent-x86_64", arm64: "agent-aarch64" };

/** Returns the path of the boot disk, and builds the disk in `cacheDirectory` if it is missing. */
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
