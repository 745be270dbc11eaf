/** Errors about volumes. @module */
import { MicrosandboxError } from "../base/errors.ts";

/** No volume has that name (`volumeNotFound`). */
export class VolumeNotFoundError extends MicrosandboxError {
  /** The name that was asked for. */
  readonly volume: string;

  /** @internal */
  constructor(volume: string) {
    super("volumeNotFound", `No volume is called ${JSON.stringify(volume)}`, {
      hint: "create it with Volume.create() or `msb volume create`, or mount it with the mode ensure",
    });
    this.volume = volume;
  }
}

/** A volume of that name exists already (`volumeAlreadyExists`). */
export class VolumeAlreadyExistsError extends MicrosandboxError {
  /** The name that is taken. */
  readonly volume: string;

  /** @internal */
  constructor(volume: string) {
    super("volumeAlreadyExists", `A volume called ${JSON.stringify(volume)} exists already`, {
      hint: "choose another name, or remove it with Volume.remove()",
    });
    this.volume = volume;
  }
}

/**
 * The volume is in use (`volumeInUse`): it cannot be removed while a running sandbox has it, and a disk cannot be written by
 * one sandbox while another one has it.
 */
export class VolumeInUseError extends MicrosandboxError {
  /** The name of the volume. */
  readonly volume: string;
  /** Names of the sandboxes that have it, as far as they are known. */
  readonly sandboxes: readonly string[];

  /** @internal */
  constructor(volume: string, sandboxes: readonly string[], action: "remove" | "write" | "read") {
    const users = sandboxes.length === 0 ? "another process uses it" : `in use by ${sandboxes.join(", ")}`;
    super("volumeInUse", `Cannot ${action} the volume ${JSON.stringify(volume)}: ${users}`, {
      hint:
        action === "remove"
          ? "stop the sandboxes that have it first"
          : "a disk has one writer, or any number of readers: stop the other sandbox, or mount it readonly in all of them",
    });
    this.volume = volume;
    this.sandboxes = sandboxes;
  }
}
