/**
 * A directory of this machine as a file system that a program can combine with others.
 *
 * @module
 */
import { existsSync, realpathSync } from "node:fs";
import { homeDirectory } from "../../platform/home.ts";
import type { FileSystemProvider } from "../provider.ts";

/**
 * Opens a directory, or a regular file, of this machine as a file system, e.g. as a layer of an `OverlayFileSystem`. It is served
 * by this process; for a plain mount of a directory, its path alone is faster. Everything resolves beneath it, and no link is
 * followed here. Owners are those of this machine. The home of all sandboxes (`MSB_HOME`) cannot be entered.
 *
 * @throws {FileSystemError} if it does not exist, or this process may not read it.
 * @throws {UnsupportedError} on a runtime without FFI.
 *
 * @example
 * ```ts no-vm
 * import { mkdirSync } from "node:fs";
 * import { openHostDirectory } from "microsandbox";
 *
 * mkdirSync("./project", { recursive: true });
 * const project = await openHostDirectory("./project");
 * console.log((await project.attributes("/")).type); // directory
 * await project.close?.();
 * ```
 */
export async function openHostDirectory(path: string): Promise<FileSystemProvider> {
  const [{ Files }, { DirectoryProvider }] = await Promise.all([
    import("../../ffi/files.ts"), // for few programs, and it takes long to load
    import("./directory_provider.ts"),
  ]);
  const home = homeDirectory();
  const closed = existsSync(home) ? realpathSync(home) : undefined;
  return DirectoryProvider.open(await Files.load(), path, { closed });
}
