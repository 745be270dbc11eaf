/**
 * Volumes whose files are open in this process. Simultaneous calls on one volume share its root and its lock: each
 * takes descriptors, and there may be very many calls.
 *
 * @module
 */
import type { Files } from "../../ffi/files.ts";
import type { FileSystemProvider } from "../../mount/provider.ts";
import type { FileLock } from "../../platform/file_lock.ts";
import type { VolumeFiles } from "../backend.ts";

interface OpenVolume {
  readonly files: FileSystemProvider;
  /** Keeps the volume from being removed. */
  readonly use: FileLock;
}

interface SharedVolume {
  readonly opening: Promise<OpenVolume>;
  users: number;
}

/** By the path of what the volume holds, which no other volume ever has. */
const shared = new Map<string, SharedVolume>();

/** Access to the C library, loaded when it is first needed. */
let filesLoading: Promise<Files> | undefined;

/** Opens a directory of this machine. */
export async function openDirectory(path: string): Promise<FileSystemProvider> {
  // Loaded when it is needed: most programs never do.
  const [ffi, { DirectoryProvider }] = await Promise.all([
    import("../../ffi/files.ts"),
    import("../../mount/providers/directory_provider.ts"),
  ]);
  filesLoading ??= ffi.Files.load();
  return DirectoryProvider.openReal(await filesLoading, path);
}

/** The volume at `path`, which `open` opens unless it is open already. It closes when its last user closes it. */
export async function openShared(path: string, open: () => Promise<OpenVolume>): Promise<VolumeFiles> {
  const volume = shared.get(path) ?? { opening: open(), users: 0 };
  shared.set(path, volume);
  volume.users++;
  let isClosed = false;
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    if (--volume.users > 0) return;
    shared.delete(path);
    const { files, use } = await volume.opening;
    use[Symbol.dispose]();
    await files.close?.();
  };
  try {
    return { files: (await volume.opening).files, close };
  } catch (error) {
    if (shared.get(path) === volume) shared.delete(path);
    throw error;
  }
}
