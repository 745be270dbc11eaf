/**
 * An open file of an `OverlayFileSystem`. Once the file is copied to the upper layer, it goes on with the copy.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";
import type { AttributeChanges, ProviderAttributes, ProviderFile } from "../provider.ts";

/** See the module. */
export class OverlayFile implements ProviderFile {
  #file: ProviderFile;
  readonly #identify: (found: ProviderAttributes) => ProviderAttributes;
  readonly #closed: () => void;
  #isUpper: boolean;
  #isClosed = false;

  /** @param closed is called once it is closed. */
  constructor(
    file: ProviderFile,
    isUpper: boolean,
    identify: (found: ProviderAttributes) => ProviderAttributes,
    closed: () => void = () => {},
  ) {
    this.#file = file;
    this.#isUpper = isUpper;
    this.#identify = identify;
    this.#closed = closed;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return await this.#file.read(offset, length);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    const file = this.#writable();
    if (file.write === undefined) throw new FileSystemError("EBADF");
    await file.write(offset, data);
  }

  async attributes(): Promise<ProviderAttributes> {
    return this.#identify(await this.#file.attributes());
  }

  async setAttributes(changes: AttributeChanges): Promise<void> {
    const file = this.#writable();
    if (file.setAttributes === undefined) throw new FileSystemError("EROFS");
    await file.setAttributes(changes);
  }

  async sync(dataOnly: boolean): Promise<void> {
    if (this.#isUpper) await this.#file.sync?.(dataOnly);
  }

  async allocate(mode: number, offset: number, length: number): Promise<void> {
    const file = this.#writable();
    if (file.allocate === undefined) throw new FileSystemError("EOPNOTSUPP");
    await file.allocate(mode, offset, length);
  }

  async seek(offset: number, what: "data" | "hole"): Promise<number> {
    if (this.#file.seek !== undefined) return await this.#file.seek(offset, what);
    const { size } = await this.#file.attributes(); // all of it is data
    if (offset >= size) throw new FileSystemError("ENXIO");
    return what === "data" ? offset : size;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed();
    await this.#file.close();
  }

  /** Goes on with the copy. */
  async replace(copy: ProviderFile): Promise<void> {
    if (this.#isClosed) return await copy.close(); // while the copy was opened
    const old = this.#file;
    this.#file = copy;
    this.#isUpper = true;
    await old.close();
  }

  /** @throws {FileSystemError} EROFS of a file of a lower layer: without a name it cannot be copied any more. */
  #writable(): ProviderFile {
    if (!this.#isUpper) throw new FileSystemError("EROFS");
    return this.#file;
  }
}
