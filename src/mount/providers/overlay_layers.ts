/**
 * The layers of an `OverlayFileSystem`, and which of them a path is in.
 *
 * What was removed of a lower layer is marked in the upper one as the image format of OCI does it: an empty file `.wh.NAME` beside
 * where the name was. It hides `NAME` of the layers below, so that a directory of that name in the upper layer is not merged.
 * https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
 *
 * @module
 */
import { Errno, errnoOf, FileSystemError } from "../errno.ts";
import { encodeName, NAME_BYTES_MAX } from "../names.ts";
import { baseName, joinPath, parentPath } from "../paths.ts";
import type { FileSystemProvider, ProviderAttributes } from "../provider.ts";

const WHITEOUT_PREFIX = ".wh.";
/** Bits of an inode number that are left for its layer's own: as the kernel's `xino` does it. */
const INODE_BITS = 56n;
const DEVICES_MAX = 255;
/** Files whose number is remembered from before they were copied up. After that, copies have new numbers. */
const ORIGINS_MAX = 100_000;

/** Where a path is: the first of `layers` says what it is; more than one are a directory that is merged. */
export interface Place {
  readonly attributes: ProviderAttributes;
  /** Numbers of layers, from above; 0 is the upper one. */
  readonly layers: readonly number[];
}

/** See the module. */
export class OverlayLayers {
  /** The upper one first. */
  readonly providers: readonly FileSystemProvider[];
  readonly #devices = new Map<string, bigint>();
  readonly #origins = new Map<string, ProviderAttributes>();

  constructor(upper: FileSystemProvider, lower: readonly FileSystemProvider[]) {
    this.providers = [upper, ...lower];
  }

  get upper(): FileSystemProvider {
    return this.provider(0);
  }

  provider(layer: number): FileSystemProvider {
    const provider = this.providers[layer];
    if (provider === undefined) throw new RangeError(`there is no layer ${layer}`);
    return provider;
  }

  /** @throws {FileSystemError} ENOENT, ENOTDIR */
  async find(path: string): Promise<Place> {
    let place = await this.#merge("/", [...this.providers.keys()]);
    let current = "/";
    for (const name of path.split("/").filter((part) => part !== "")) {
      if (place?.attributes.type !== "directory") throw new FileSystemError("ENOTDIR");
      if (isWhiteout(name)) throw new FileSystemError("ENOENT");
      current = joinPath(current, name);
      place = await this.#merge(current, await this.#visible(current, place.layers));
      if (place === undefined) throw new FileSystemError("ENOENT");
    }
    if (place === undefined) throw new FileSystemError("ENOENT");
    return place;
  }

  /** Like {@linkcode find}, but gives nothing if the path itself is missing. */
  async findIfPresent(path: string): Promise<Place | undefined> {
    try {
      return await this.find(path);
    } catch (error) {
      if (errnoOf(error) !== Errno.ENOENT) throw error;
      await this.find(parentPath(path)); // it is the path's own end that may be missing
      return undefined;
    }
  }

  /** Whether a lower layer would show something at `path` if the upper one had nothing there. */
  async isBelow(path: string): Promise<boolean> {
    const { layers } = await this.find(parentPath(path));
    const lower = (await this.#visible(path, layers)).filter((layer) => layer !== 0);
    return (await this.#merge(path, lower)) !== undefined;
  }

  /** What the guest is told of a file: each file of each layer has a number of its own. */
  identify(layer: number, found: ProviderAttributes): ProviderAttributes {
    const origin = layer === 0 ? this.#origins.get(keyOf(found)) : undefined;
    if (origin !== undefined)
      return { ...found, inode: origin.inode, device: origin.device, generation: origin.generation };
    const device = this.#deviceOf(layer, found.device);
    return { ...found, device, inode: this.inodeOf(device, found.inode) };
  }

  /** The number of a file of a layer. */
  inodeOf(device: bigint, inode: bigint): bigint {
    return BigInt.asUintN(64, inode ^ (device << INODE_BITS));
  }

  /** The copy of a file in the upper layer keeps the number that the guest knows it by. */
  keepIdentity(copy: ProviderAttributes, seen: ProviderAttributes): void {
    if (this.#origins.size < ORIGINS_MAX) this.#origins.set(keyOf(copy), seen);
  }

  /** A file of the upper layer is gone, and its number may be used again. */
  forgetIdentity(found: ProviderAttributes): void {
    this.#origins.delete(keyOf(found));
  }

  #deviceOf(layer: number, device = 0n): bigint {
    const key = `${layer}:${device}`;
    const known = this.#devices.get(key);
    if (known !== undefined) return known;
    const id = BigInt(1 + (this.#devices.size % DEVICES_MAX));
    if (this.#devices.size < DEVICES_MAX) this.#devices.set(key, id);
    return id;
  }

  /** Layers that may have a name: without the lower ones if it is whited out. */
  async #visible(path: string, layers: readonly number[]): Promise<readonly number[]> {
    if (layers[0] !== 0 || layers.length === 1) return layers;
    // A name that leaves no room for the mark cannot be hidden.
    const mark = whiteoutOf(path);
    if (encodeName(baseName(mark)).length > NAME_BYTES_MAX) return layers;
    return (await this.#attributes(0, mark)) === undefined ? layers : [0];
  }

  async #merge(path: string, layers: readonly number[]): Promise<Place | undefined> {
    let top: ProviderAttributes | undefined;
    const found: number[] = [];
    for (const layer of layers) {
      const attributes = await this.#attributes(layer, path);
      if (attributes === undefined) continue;
      if (top !== undefined && attributes.type !== "directory") break;
      top ??= this.identify(layer, attributes);
      found.push(layer);
      if (attributes.type !== "directory") break;
    }
    if (top === undefined) return undefined;
    const isMerged = found.length > 1;
    return { attributes: isMerged ? { ...top, links: 1 } : top, layers: found };
  }

  async #attributes(layer: number, path: string): Promise<ProviderAttributes | undefined> {
    try {
      return await this.provider(layer).attributes(path);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === Errno.ENOENT || errno === Errno.ENOTDIR) return undefined;
      throw error;
    }
  }
}

/** Whether a name is a mark, which the guest neither sees nor makes. */
export function isWhiteout(name: string): boolean {
  return name.startsWith(WHITEOUT_PREFIX);
}

/** The path of what hides `path` of the lower layers. */
export function whiteoutOf(path: string): string {
  return joinPath(parentPath(path), WHITEOUT_PREFIX + baseName(path));
}

/** The name that a mark hides. */
export function hiddenBy(mark: string): string {
  return mark.slice(WHITEOUT_PREFIX.length);
}

function keyOf({ device = 0n, inode, generation = 0n }: ProviderAttributes): string {
  return `${device}:${inode}:${generation}`;
}
