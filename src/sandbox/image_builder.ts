/**
 * Builds what a sandbox is made of step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { UnsupportedError } from "../base/errors.ts";
import type { SandboxOptions } from "../options/sandbox_options.ts";
import { configured } from "./configured.ts";
import { RootDiskBuilder } from "./root_disk_builder.ts";

/** What `SandboxBuilder.imageWith()` hands out: an image, and what is written over it. */
export class ImageBuilder {
  #origin: Pick<SandboxOptions, "image" | "rootDirectory"> = {};
  #rootDisk: Pick<SandboxOptions, "diskMiB" | "rootDisk"> = {};

  /** Uses an OCI reference: `"alpine"`. */
  oci(reference: string): this {
    this.#origin = { image: reference };
    return this;
  }

  /** Uses a directory of this machine as it is. See {@linkcode SandboxOptions.rootDirectory}. */
  bind(path: string): this {
    this.#origin = { rootDirectory: path };
    return this;
  }

  /** Sets the size of the writable disk in MiB, or what is written to: see {@linkcode RootDiskBuilder}. */
  rootDisk(disk: number | ((disk: RootDiskBuilder) => RootDiskBuilder)): this {
    this.#rootDisk =
      typeof disk === "number"
        ? { diskMiB: disk }
        : configured("rootDisk", new RootDiskBuilder(), disk).build();
    return this;
  }

  /** Older name of {@linkcode rootDisk} with a size. */
  upperSize(sizeMiB: number): this {
    return this.rootDisk(sizeMiB);
  }

  /** Not supported: a disk image can be mounted or written to, but is not an image. @throws {UnsupportedError} always */
  disk(_path: string): this {
    throw new UnsupportedError("Cannot boot from a disk image", {
      hint: "give an OCI reference, a directory or an archive; mount the disk by volume(), or write to it by rootDisk()",
    });
  }

  /** For `disk()` only. @throws {UnsupportedError} always */
  fstype(fstype: string): this {
    return this.disk(fstype);
  }

  /** The options. */
  build(): Pick<SandboxOptions, "image" | "rootDirectory" | "diskMiB" | "rootDisk"> {
    return { ...this.#origin, ...this.#rootDisk };
  }
}
