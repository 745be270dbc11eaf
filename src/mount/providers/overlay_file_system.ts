/**
 * A file system that shows others one upon the other, and keeps changes in the one above.
 *
 * @module
 */
import { Semaphore } from "../../base/semaphore.ts";
import { FileSystemError } from "../errno.ts";
import { checkedName, encodeName } from "../names.ts";
import { baseName, isBelow, joinPath, parentPath } from "../paths.ts";
import type {
  AttributeChanges,
  FileSystemProvider,
  FileType,
  ProviderAttributes,
  ProviderChange,
  ProviderEntry,
  ProviderFile,
  ProviderOpenOptions,
  ProviderStatistics,
  RenameOptions,
} from "../provider.ts";
import { MemoryFileSystem } from "./memory_file_system.ts";
import { copyFile, READ, required } from "./overlay_copy.ts";
import { OverlayFile } from "./overlay_file.ts";
import { hiddenBy, isWhiteout, OverlayLayers, type Place, whiteoutOf } from "./overlay_layers.ts";

/** What an {@linkcode OverlayFileSystem} is made of. */
export interface OverlayOptions {
  /** File systems that are shown and never changed. The first lies above the others. */
  readonly lower: readonly FileSystemProvider[];
  /** Where changes are kept; nothing else may change it. @default an empty `MemoryFileSystem` */
  readonly upper?: FileSystemProvider | undefined;
}

/**
 * Shows file systems one upon the other. What is changed is copied to the upper one first; the lower ones stay as they are. What
 * is removed is marked in the upper one by an empty file `.wh.NAME`, as in a layer of an OCI image. The guest neither sees such
 * names nor can make them (EPERM). A directory that has something in a lower layer cannot be renamed (EXDEV): `mv` copies it then.
 *
 * @example
 * ```ts no-vm
 * import { MemoryFileSystem, OverlayFileSystem } from "microsandbox";
 *
 * const changes = new MemoryFileSystem();
 * const files = new OverlayFileSystem({ lower: [new MemoryFileSystem({ "a.txt": "hello" })], upper: changes });
 * await files.removeFile("/a.txt");
 * console.log((await files.list("/")).length, changes.list("/").map(({ name }) => name)); // 0 [ ".wh.a.txt" ]
 * ```
 */
export class OverlayFileSystem implements FileSystemProvider {
  readonly #layers: OverlayLayers;
  /** Open files of lower layers, by the file: they go on with a copy. */
  readonly #open = new Map<string, Set<OverlayFile>>();
  /** Changes are made one after the other: each is several calls. */
  readonly #changes = new Semaphore(1);
  #copies = 0;
  /** @internal */
  readonly watch?: (changed: (change: ProviderChange) => void) => () => void;

  /** Lays them one upon the other. @throws {RangeError} if there is no lower one. */
  constructor({ lower, upper = new MemoryFileSystem() }: OverlayOptions) {
    if (lower.length === 0) throw new RangeError("lower: must have at least one file system");
    this.#layers = new OverlayLayers(upper, lower);
    if (lower.some((provider) => provider.watch !== undefined))
      this.watch = (changed) => this.#watch(changed);
  }

  /** @internal */
  async attributes(path: string): Promise<ProviderAttributes> {
    return (await this.#layers.find(path)).attributes;
  }

  /** @internal */
  async list(path: string): Promise<readonly ProviderEntry[]> {
    const { attributes, layers } = await this.#layers.find(path);
    if (attributes.type !== "directory") throw new FileSystemError("ENOTDIR");
    const found = new Map<string, ProviderEntry>();
    const hidden = new Set<string>();
    for (const layer of layers) {
      const { device } = this.#layers.identify(layer, await this.#layers.provider(layer).attributes(path));
      const entries = await this.#layers.provider(layer).list(path);
      if (layer === 0) for (const { name } of entries) if (isWhiteout(name)) hidden.add(hiddenBy(name));
      for (const { name, type, inode } of entries) {
        if (isWhiteout(name) || found.has(name) || (layer !== 0 && hidden.has(name))) continue;
        found.set(name, { name, type, inode: this.#layers.inodeOf(device ?? 0n, inode) });
      }
    }
    return [...found.values()];
  }

  /** @internal */
  async open(path: string, options: ProviderOpenOptions): Promise<ProviderFile> {
    if (!options.write && !options.truncate && !options.create) {
      const place = await this.#layers.find(path);
      return await this.#openAt(path, place, options);
    }
    return await this.#changes.run(async () => {
      const place = await this.#layers.findIfPresent(path);
      if (place === undefined) {
        if (!options.create) throw new FileSystemError("ENOENT");
        await this.#prepareParent(path);
        const made = await this.#layers.upper.open(path, options);
        return this.#wrap(made, 0);
      }
      if (options.create && options.exclusive) throw new FileSystemError("EEXIST");
      const { type } = place.attributes;
      if (type !== "file") throw new FileSystemError(type === "directory" ? "EISDIR" : "EACCES");
      await this.#copyUp(path, place, !options.truncate);
      const existing = { ...options, create: false, exclusive: false };
      return this.#wrap(await this.#layers.upper.open(path, existing), 0);
    });
  }

  /** @internal */
  async readLink(path: string): Promise<string> {
    const { attributes, layers } = await this.#layers.find(path);
    const provider = this.#layers.provider(layers[0] ?? 0);
    if (attributes.type !== "symlink" || provider.readLink === undefined) throw new FileSystemError("EINVAL");
    return await provider.readLink(path);
  }

  /** @internal */
  async setAttributes(path: string, changes: AttributeChanges): Promise<void> {
    await this.#changes.run(async () => {
      const place = await this.#layers.find(path);
      await this.#copyUp(path, place, changes.size !== 0);
      const { upper } = this.#layers;
      await required(upper.setAttributes?.bind(upper))(path, changes);
    });
  }

  /** @internal */
  async makeDirectory(path: string, mode: number): Promise<void> {
    await this.#make(path, (upper) => required(upper.makeDirectory?.bind(upper))(path, mode));
  }

  /** @internal */
  async makeNode(path: string, type: FileType, mode: number, special: number): Promise<void> {
    await this.#make(path, (upper) => required(upper.makeNode?.bind(upper))(path, type, mode, special));
  }

  /** @internal */
  async makeSymlink(path: string, target: string): Promise<void> {
    await this.#make(path, (upper) => required(upper.makeSymlink?.bind(upper))(path, target));
  }

  /** @internal */
  async makeLink(existing: string, path: string): Promise<void> {
    await this.#make(path, async (upper) => {
      const place = await this.#layers.find(existing);
      if (place.attributes.type === "directory") throw new FileSystemError("EPERM");
      await this.#copyUp(existing, place, true);
      await required(upper.makeLink?.bind(upper))(existing, path);
    });
  }

  /** @internal */
  async removeFile(path: string): Promise<void> {
    await this.#changes.run(async () => {
      const place = await this.#layers.find(path);
      if (place.attributes.type === "directory") throw new FileSystemError("EISDIR");
      await this.#hideBelow(path);
      if (place.layers[0] !== 0) return;
      const { upper } = this.#layers;
      if ((place.attributes.links ?? 1) === 1) await this.#forget(path);
      await required(upper.removeFile?.bind(upper))(path);
    });
  }

  /** @internal */
  async removeDirectory(path: string): Promise<void> {
    await this.#changes.run(async () => {
      const place = await this.#layers.find(path);
      if (path === "/") throw new FileSystemError("EBUSY");
      if (place.attributes.type !== "directory") throw new FileSystemError("ENOTDIR");
      if ((await this.list(path)).length > 0) throw new FileSystemError("ENOTEMPTY");
      await this.#hideBelow(path);
      if (place.layers[0] === 0) await this.#removeUpperDirectory(path);
    });
  }

  /** @internal */
  async rename(from: string, to: string, options: RenameOptions): Promise<void> {
    await this.#changes.run(async () => {
      const { upper } = this.#layers;
      const source = await this.#layers.find(from);
      const target = await this.#layers.findIfPresent(to);
      if (isWhiteout(baseName(to))) throw new FileSystemError("EPERM");
      if (source.attributes.type === "directory" && isBelow(to, from) && to !== from)
        throw new FileSystemError("EINVAL");
      checkRename(source, target, options);
      if (target?.attributes.type === "directory" && !options.exchange && (await this.list(to)).length > 0)
        throw new FileSystemError("ENOTEMPTY");
      await this.#prepareRename(from, source);
      await this.#prepareParent(to);
      if (options.exchange && target !== undefined) {
        await this.#prepareRename(to, target);
        await this.#hideBelow(to);
      } else if (source.attributes.type === "directory") {
        await this.#hideBelow(to); // or what lies below would be merged with it
        if (target?.layers[0] === 0) await this.#removeUpperDirectory(to);
      }
      await this.#hideBelow(from);
      await required(upper.rename?.bind(upper))(from, to, options);
    });
  }

  /** @internal */
  async statistics(): Promise<ProviderStatistics> {
    const statistics = await this.#layers.upper.statistics?.();
    if (statistics === undefined) throw new FileSystemError("ENOSYS");
    return statistics;
  }

  /** @internal */
  async getExtended(path: string, name: string): Promise<Uint8Array> {
    const { layers } = await this.#layers.find(path);
    const provider = this.#layers.provider(layers[0] ?? 0);
    if (provider.getExtended === undefined) throw new FileSystemError("ENODATA");
    return await provider.getExtended(path, name);
  }

  /** @internal */
  async listExtended(path: string): Promise<readonly string[]> {
    const { layers } = await this.#layers.find(path);
    return (await this.#layers.provider(layers[0] ?? 0).listExtended?.(path)) ?? [];
  }

  /** @internal */
  async setExtended(
    path: string,
    name: string,
    value: Uint8Array,
    existing: "any" | "new" | "old",
  ): Promise<void> {
    const kept = value.slice(); // the copy may take longer than the request
    await this.#changes.run(async () => {
      await this.#copyUp(path, await this.#layers.find(path), true);
      const { upper } = this.#layers;
      if (upper.setExtended === undefined) throw new FileSystemError("EOPNOTSUPP");
      await upper.setExtended(path, name, kept, existing);
    });
  }

  /** @internal */
  async removeExtended(path: string, name: string): Promise<void> {
    await this.#changes.run(async () => {
      await this.#copyUp(path, await this.#layers.find(path), true);
      const { upper } = this.#layers;
      if (upper.removeExtended === undefined) throw new FileSystemError("EOPNOTSUPP");
      await upper.removeExtended(path, name);
    });
  }

  /** @internal */
  async close(): Promise<void> {
    await Promise.allSettled(this.#layers.providers.map(async (provider) => await provider.close?.()));
  }

  async #make(path: string, make: (upper: FileSystemProvider) => unknown): Promise<void> {
    await this.#changes.run(async () => {
      if ((await this.#layers.findIfPresent(path)) !== undefined) throw new FileSystemError("EEXIST");
      await this.#prepareParent(path);
      await make(this.#layers.upper);
    });
  }

  async #openAt(path: string, place: Place, options: ProviderOpenOptions): Promise<ProviderFile> {
    const [layer = 0] = place.layers;
    const { type } = place.attributes;
    if (type !== "file") throw new FileSystemError(type === "directory" ? "EISDIR" : "EACCES");
    const file = await this.#layers.provider(layer).open(path, options);
    return this.#wrap(file, layer, place.attributes);
  }

  /** @param seen Of a file of a lower layer: what the guest knows it by, which a copy of it keeps. */
  #wrap(file: ProviderFile, layer: number, seen?: ProviderAttributes): ProviderFile {
    if (seen === undefined || layer === 0)
      return new OverlayFile(file, true, (found) => this.#layers.identify(layer, found));
    const identity = identityOf(seen);
    const key = keyOf(identity);
    const files = this.#open.get(key) ?? new Set();
    const closed = () => {
      if (files.delete(opened) && files.size === 0 && this.#open.get(key) === files) this.#open.delete(key);
    };
    const opened = new OverlayFile(file, false, (found) => ({ ...found, ...identity }), closed);
    this.#open.set(key, files.add(opened));
    return opened;
  }

  /** @throws {FileSystemError} EPERM of a name that the guest may not make. */
  async #prepareParent(path: string): Promise<void> {
    if (isWhiteout(baseName(path))) throw new FileSystemError("EPERM");
    const parent = parentPath(path);
    await this.#copyUp(parent, await this.#layers.find(parent), true);
  }

  /** Brings a file, and the directories above it, to the upper layer. */
  async #copyUp(path: string, { layers, attributes }: Place, hasContent: boolean): Promise<void> {
    const [layer = 0] = layers;
    if (layer === 0) return;
    await this.#prepareParent(path);
    const { upper } = this.#layers;
    const from = this.#layers.provider(layer);
    const source = await from.attributes(path);
    // Under another name until it is whole: what a crash leaves of it is not seen.
    const temporary = joinPath(parentPath(path), `.wh..wh.copy.${process.pid}.${this.#copies++}`);
    const newPath = upper.rename === undefined ? path : temporary;
    try {
      await copyFile({ from, path, attributes: source, to: upper, newPath, hasContent });
      await upper.rename?.(temporary, path, { exclusive: false, exchange: false });
    } catch (error) {
      await this.#discard(newPath, source.type);
      throw error;
    }
    const isOneName = source.type === "directory" || (source.links ?? 1) === 1;
    if (!isOneName) return; // its other names stay what they are: the copy is another file
    this.#layers.keepIdentity(await upper.attributes(path), attributes);
    const key = keyOf(attributes);
    for (const file of [...(this.#open.get(key) ?? [])]) await file.replace(await upper.open(path, READ));
    this.#open.delete(key);
  }

  async #discard(path: string, type: FileType): Promise<void> {
    const { upper } = this.#layers;
    try {
      if (type === "directory") await upper.removeDirectory?.(path);
      else await upper.removeFile?.(path);
    } catch {
      // it was not made, and the first error says why
    }
  }

  /** Hides what the lower layers have at `path`. @throws {FileSystemError} ENAMETOOLONG if there is no room for a mark. */
  async #hideBelow(path: string): Promise<void> {
    if (!(await this.#layers.isBelow(path))) return;
    await this.#prepareParent(path);
    const mark = whiteoutOf(path);
    checkedName(encodeName(baseName(mark)));
    const file = await this.#layers.upper.open(mark, { ...READ, write: true, create: true });
    await file.close();
  }

  /** @throws {FileSystemError} EXDEV of a directory that has something below. */
  async #prepareRename(path: string, place: Place): Promise<void> {
    const isPure = place.layers.length === 1 && place.layers[0] === 0;
    if (place.attributes.type === "directory" && !isPure) throw new FileSystemError("EXDEV");
    await this.#copyUp(path, place, true);
  }

  /** A directory that appears empty may still contain marks. */
  async #removeUpperDirectory(path: string): Promise<void> {
    const { upper } = this.#layers;
    for (const { name } of await upper.list(path))
      await required(upper.removeFile?.bind(upper))(joinPath(path, name));
    await this.#forget(path);
    await required(upper.removeDirectory?.bind(upper))(path);
  }

  async #forget(path: string): Promise<void> {
    this.#layers.forgetIdentity(await this.#layers.upper.attributes(path));
  }

  #watch(changed: (change: ProviderChange) => void): () => void {
    const isSeen = ({ path, from = path }: ProviderChange) =>
      ![path, from].some((name) => isWhiteout(baseName(name)));
    const ends = this.#layers.providers
      .slice(1)
      .map((provider) => provider.watch?.((change) => isSeen(change) && changed(change)));
    return () => {
      for (const end of ends) end?.();
    };
  }
}

type Identity = Pick<ProviderAttributes, "device" | "inode" | "generation">;

function identityOf({ device, inode, generation }: ProviderAttributes): Identity {
  return { device, inode, generation };
}

function keyOf({ device = 0n, inode, generation = 0n }: Identity): string {
  return `${device}:${inode}:${generation}`;
}

/** What rename(2) asks of both. @throws {FileSystemError} */
function checkRename(source: Place, target: Place | undefined, { exclusive, exchange }: RenameOptions): void {
  if (exchange && target === undefined) throw new FileSystemError("ENOENT");
  if (exclusive && target !== undefined) throw new FileSystemError("EEXIST");
  if (exchange || target === undefined) return;
  const [isDirectory, replacesDirectory] = [source, target].map(
    ({ attributes }) => attributes.type === "directory",
  );
  if (isDirectory && !replacesDirectory) throw new FileSystemError("ENOTDIR");
  if (!isDirectory && replacesDirectory) throw new FileSystemError("EISDIR");
}
