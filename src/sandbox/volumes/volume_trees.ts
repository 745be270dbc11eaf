/**
 * Copies and removals of trees in a volume.
 *
 * @module
 */
import { FileSystemError } from "../../mount/errno.ts";
import { encodeName } from "../../mount/names.ts";
import { isBelow, joinPath, parentPath } from "../../mount/paths.ts";
import type { ProviderAttributes, ProviderFile } from "../../mount/provider.ts";
import { failed } from "../files/errors.ts";
import {
  attempt,
  giveTurn,
  lookUp,
  makeDirectories,
  temporaryBeside,
  type VolumeWork,
} from "./volume_files.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Files that are worked on before other work gets its turn. */
const FILES_PER_TURN = 100;

/** How a copy or a rename treats the new name. */
export interface MoveOptions {
  readonly exclusive?: boolean | undefined;
  readonly createParents?: boolean | undefined;
}

/** Removes a directory with all that is in it. Links in it are removed, not followed. */
export async function removeTree(work: VolumeWork, root: string): Promise<void> {
  const { files } = work;
  const listed = async (path: string) => ({
    path,
    left: (await at(work, root, path, () => files.list(path))).values(),
  });
  // Only paths on the way down are held: a guest makes very many directories, and their paths may be long.
  const way = [await listed(root)];
  let count = 0;
  for (let current = way.at(-1); current !== undefined; current = way.at(-1)) {
    const { path, left } = current;
    const entry = left.next().value;
    if (entry === undefined) {
      await at(work, root, path, () => files.removeDirectory?.(path));
      way.pop();
      continue;
    }
    if (++count % FILES_PER_TURN === 0) await giveTurn(work);
    const below = joinPath(path, entry.name);
    if (entry.type === "directory") way.push(await listed(below));
    else await at(work, root, below, () => files.removeFile?.(below));
  }
}

/**
 * Copies a file, or with `recursive` a directory. A file is written beside its place and renamed, so that what is there under the
 * new name is replaced as a whole.
 */
export async function copyTree(
  work: VolumeWork,
  from: string,
  to: string,
  { recursive, exclusive = false, createParents = false }: MoveOptions & { readonly recursive: boolean },
): Promise<void> {
  const { files } = work;
  const root = await attempt(work, () => files.attributes(from));
  await attempt(work, async () => {
    if (root.type === "directory" && !recursive) throw new FileSystemError("EISDIR");
    if (isBelow(to, from)) throw new FileSystemError("EINVAL"); // it would never end
    if (createParents) await makeDirectories(files, parentPath(to));
    const target = await lookUp(files, to);
    if (target !== undefined && exclusive) throw new FileSystemError("EEXIST");
    if (target?.type === "directory" && root.type !== "directory") throw new FileSystemError("EISDIR");
    if (target !== undefined && target.type !== "directory" && root.type === "directory")
      throw new FileSystemError("ENOTDIR");
  });
  if (root.type !== "directory") return await at(work, from, from, () => copyOne(work, { from, to }, root));
  const made = async (
    item: { readonly from: string; readonly to: string },
    attributes: ProviderAttributes,
  ) => {
    await at(work, from, item.from, () => makeDirectories(files, item.to, 0o700));
    return {
      ...item,
      attributes,
      left: (await at(work, from, item.from, () => files.list(item.from))).values(),
    };
  };
  const way = [await made({ from, to }, root)];
  let count = 0;
  for (let current = way.at(-1); current !== undefined; current = way.at(-1)) {
    const { attributes, left, ...item } = current;
    const name = left.next().value?.name;
    if (name === undefined) {
      await at(work, from, item.from, () => files.setAttributes?.(item.to, keptOf(attributes)));
      way.pop();
      continue;
    }
    if (++count % FILES_PER_TURN === 0) await giveTurn(work);
    const below = { from: joinPath(item.from, name), to: joinPath(item.to, name) };
    const found = await at(work, from, below.from, () => lookUp(files, below.from));
    if (found?.type === "directory") way.push(await made(below, found));
    else if (found !== undefined) await at(work, from, below.from, () => copyOne(work, below, found));
  }
}

async function copyOne(
  work: VolumeWork,
  { from, to }: { readonly from: string; readonly to: string },
  attributes: ProviderAttributes,
): Promise<void> {
  const { files } = work;
  const place = temporaryBeside(to);
  try {
    if (attributes.type === "symlink") {
      await files.makeSymlink?.(place, (await files.readLink?.(from)) ?? "");
    } else if (attributes.type === "file") {
      await copyContent(work, from, place);
      await files.setAttributes?.(place, keptOf(attributes));
    } else {
      await files.makeNode?.(place, attributes.type, attributes.mode, attributes.special ?? 0);
    }
    await files.rename?.(place, to, { exclusive: false, exchange: false });
  } catch (error) {
    if ((await lookUp(files, place)) !== undefined) await files.removeFile?.(place);
    throw error;
  }
}

/** Holes stay holes. */
async function copyContent(work: VolumeWork, from: string, to: string): Promise<void> {
  const closed = { append: false, truncate: false, mode: 0o600 };
  const source = await work.files.open(from, {
    ...closed,
    read: true,
    write: false,
    create: false,
    exclusive: false,
  });
  try {
    const target = await work.files.open(to, {
      ...closed,
      read: false,
      write: true,
      create: true,
      exclusive: true,
    });
    try {
      const { size } = await source.attributes();
      for (let offset = 0; offset < size; ) {
        const begin = await seek(source, offset, "data", size);
        if (begin === size) break;
        const end = await seek(source, begin, "hole", size);
        const chunk = await source.read(begin, Math.min(end - begin, CHUNK_BYTES));
        if (chunk.length === 0) break; // it has become shorter
        await target.write?.(begin, chunk);
        offset = begin + chunk.length;
        await giveTurn(work);
      }
      await target.setAttributes?.({ size });
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Where the next data, or the next hole, begins; of a file system that knows no holes all is data. */
async function seek(
  file: ProviderFile,
  offset: number,
  what: "data" | "hole",
  size: number,
): Promise<number> {
  const without = what === "data" ? offset : size;
  if (file.seek === undefined) return without;
  try {
    return Math.min(await file.seek(offset, what), size);
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    if (error.code === "ENXIO") return size; // nothing but a hole
    if (error.code === "EINVAL") return without;
    throw error;
  }
}

/** What a copy keeps. */
function keptOf({ mode, accessedNs, modifiedNs }: ProviderAttributes) {
  return { mode, accessedNs, modifiedNs };
}

/** Runs `action` on `path`, which an error then names: it lies below the path of the call. */
async function at<T>(work: VolumeWork, root: string, path: string, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    throw failed(work, error.errno, encodeName(path.slice(root === "/" ? 1 : root.length + 1)));
  }
}
