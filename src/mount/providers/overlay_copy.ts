/**
 * Copies a file of a lower layer to the upper one: what it holds, and all that is known of it.
 *
 * @module
 */
import { Errno, errnoOf, FileSystemError } from "../errno.ts";
import type { FileSystemProvider, ProviderAttributes, ProviderOpenOptions } from "../provider.ts";

const CHUNK_BYTES = 1024 * 1024;

const OPEN = { read: true, append: false, truncate: false, exclusive: false, mode: 0o600 } as const;
/** How a file is opened to read it. */
export const READ: ProviderOpenOptions = { ...OPEN, write: false, create: false };
const CREATE: ProviderOpenOptions = { ...OPEN, write: true, create: true, exclusive: true };

/** One file, from there to here. */
export interface Copy {
  readonly from: FileSystemProvider;
  readonly path: string;
  readonly attributes: ProviderAttributes;
  readonly to: FileSystemProvider;
  /** Where the copy is made. */
  readonly newPath: string;
  /** Of a file: whether what it holds is wanted. */
  readonly hasContent: boolean;
}

/** Makes the copy; nothing may be at its path. */
export async function copyFile(copy: Copy): Promise<void> {
  const { to, newPath, attributes } = copy;
  const { type, mode, special = 0 } = attributes;
  if (type === "directory") await required(to.makeDirectory?.bind(to))(newPath, mode);
  else if (type === "symlink") await required(to.makeSymlink?.bind(to))(newPath, await targetOf(copy));
  else if (type === "file") await copyContent(copy);
  else await required(to.makeNode?.bind(to))(newPath, type, mode, special);
  if (type !== "symlink") await copyExtended(copy);
  await copyAttributes(copy);
}

async function targetOf({ from, path }: Copy): Promise<string> {
  return await required(from.readLink?.bind(from))(path);
}

async function copyContent({ from, path, to, newPath, attributes, hasContent }: Copy): Promise<void> {
  const target = await to.open(newPath, CREATE);
  try {
    if (!hasContent) return;
    const source = await from.open(path, READ);
    try {
      let offset = 0;
      for (; offset < attributes.size; ) {
        const data = await source.read(offset, CHUNK_BYTES);
        if (data.length === 0) break;
        if (data.some((byte) => byte !== 0)) await required(target.write?.bind(target))(offset, data);
        offset += data.length;
      }
      await required(target.setAttributes?.bind(target))({ size: offset }); // zeros at the end were not written
    } finally {
      await source.close();
    }
  } finally {
    await target.close();
  }
}

async function copyExtended({ from, path, to, newPath }: Copy): Promise<void> {
  if (from.listExtended === undefined || from.getExtended === undefined) return;
  for (const name of await from.listExtended(path)) {
    const value = await from.getExtended(path, name);
    await required(to.setExtended?.bind(to))(newPath, name, value.slice(), "any");
  }
}

/** The upper layer may not be allowed to give files away: then they keep the owner that it gives new files. */
async function copyAttributes({ to, newPath, attributes }: Copy): Promise<void> {
  const { type, mode, uid, gid, accessedNs, modifiedNs } = attributes;
  const set = required(to.setAttributes?.bind(to));
  try {
    await set(newPath, { uid, gid });
  } catch (error) {
    if (errnoOf(error) !== Errno.EPERM) throw error;
  }
  if (type !== "symlink") await set(newPath, { mode });
  await set(newPath, { accessedNs, modifiedNs });
}

/** @throws {FileSystemError} EROFS where the upper layer lacks the method. */
export function required<T>(method: T | undefined): T {
  if (method === undefined) throw new FileSystemError("EROFS");
  return method;
}
