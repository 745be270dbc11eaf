/**
 * Snapshots as users see them: disks of sandboxes, kept under names.
 *
 * @module
 */

import { z } from "zod";
import { type Backend, type BackendSandbox, getSandbox, type SnapshotRecord } from "../backend/backend.ts";
import { defaultBackend } from "../backend/default_backend.ts";
import { withoutUndefined } from "../base/defined.ts";
import { checkFields, parseConfig } from "../base/parse_config.ts";
import { hasLabels, wantedLabelsSchema } from "../options/labels.ts";
import { checkSandboxName } from "../options/sandbox_options.ts";
import type { SnapshotDescriptor } from "../snapshot/descriptor.ts";
import type { DiskProgressListener } from "../snapshot/disk_content.ts";

/** A sandbox by its name, or a `Sandbox` or `SandboxHandle`, which stands for that very one. */
export type SnapshotSource = string | { readonly name: string; readonly id: string };

/** Options of `Snapshot.create()`. */
export interface SnapshotCreateOptions {
  /** 1 to 128 bytes of letters, digits, `.`, `_` and `-`; the first a letter or digit. Unique in a home. */
  readonly name: string;
  /** Whose disk. */
  readonly from: SnapshotSource;
  /** Labels to find it by; at most 64. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /**
   * Whether it takes the place of a snapshot of the same name, which is removed when the new one is whole.
   *
   * @default {false}
   */
  readonly force?: boolean | undefined;
  /** Aborting leaves nothing behind, and lets the sandbox's writes go on. */
  readonly signal?: AbortSignal | undefined;
  /** Told how much of the disk has been copied. Not called where the copy takes no time. */
  readonly onProgress?: DiskProgressListener | undefined;
}

/** Options of `Snapshot.save()`. */
export interface SnapshotSaveOptions {
  /** A plain tar instead of a compressed one. @default {false} */
  readonly plainTar?: boolean | undefined;
  /** Ends the operation; nothing of the archive is left. */
  readonly signal?: AbortSignal | undefined;
  /** Told how much of the disk has been read; it is read twice. */
  readonly onProgress?: DiskProgressListener | undefined;
}

/** Which snapshots to list. */
export interface SnapshotListOptions {
  /** Only those that have all of these. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

const listSchema = z.strictObject({ labels: wantedLabelsSchema.optional() });
const FIELDS = {
  create: {
    name: true,
    from: true,
    labels: true,
    force: true,
    signal: true,
    onProgress: true,
  } satisfies Record<keyof SnapshotCreateOptions, true>,
  save: { plainTar: true, signal: true, onProgress: true } satisfies Record<keyof SnapshotSaveOptions, true>,
} as const;

/** Answer of `verify()`. */
export interface SnapshotVerifyReport {
  /** Digest of the snapshot. */
  readonly digest: string;
  /** Its directory. */
  readonly path: string;
  /** The digest of the disk, as computed from its content. */
  readonly upper: { readonly kind: "verified"; readonly algorithm: string; readonly digest: string };
}

/**
 * The disk of a sandbox at one moment, and what is needed to make sandboxes of it. A snapshot never changes.
 *
 * @example
 * ```ts with box
 * import { Sandbox, Snapshot } from "microsandbox";
 *
 * await Snapshot.create({ name: "ready", from: "box", labels: { team: "blue" }, force: true });
 * await using one = await Sandbox.builder("one").fromSnapshot("ready").replace().create();
 * await using two = await Sandbox.builder("two").fromSnapshot("ready").replace().create();
 * ```
 */
export class Snapshot {
  /** Its name, unique in the home. */
  readonly name: string;
  /** Of this snapshot alone, even if another has its name later. */
  readonly id: string;
  /** `sha256:` and 64 hex digits: of all that is known of it, the content of its disk included. */
  readonly digest: string;
  /** Its directory. */
  readonly path: string;
  /** Size of the disk in bytes; it takes as much space as it has data. */
  readonly sizeBytes: number;
  /** When it was taken. */
  readonly createdAt: Date;
  /** Its labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** The image that the disk lies over, as its sandbox named it. */
  readonly imageRef: string;
  /** What the image is known by. */
  readonly imageManifestDigest: string;
  /** Name of the sandbox that it was taken of. */
  readonly sourceSandbox: string;
  /** Id of that sandbox. */
  readonly sourceSandboxId: string;
  /** Digest of the snapshot that its sandbox was made from. */
  readonly parent: string | null;
  /** Format of the disk, in the terms of the official SDK. */
  readonly format = "raw";
  /** File system on the disk. */
  readonly fstype = "ext4";
  /** What it covers: the disk, and no memory. */
  readonly scope = "disk";
  readonly #backend: Backend;
  readonly #descriptor: SnapshotDescriptor;

  /** Use `Snapshot.create()`, `Snapshot.get()` or `Snapshot.list()`. */
  private constructor(backend: Backend, { descriptor, digest, directory }: SnapshotRecord) {
    this.#backend = backend;
    this.#descriptor = descriptor;
    this.name = descriptor.name;
    this.id = descriptor.id;
    this.digest = digest;
    this.path = directory;
    this.sizeBytes = descriptor.upper.sizeBytes;
    this.createdAt = new Date(descriptor.createdAt);
    this.labels = descriptor.labels;
    this.imageRef = descriptor.image.reference;
    this.imageManifestDigest = descriptor.image.digest;
    this.sourceSandbox = descriptor.source.name;
    this.sourceSandboxId = descriptor.source.id;
    this.parent = descriptor.parent;
  }

  /** Collects options; ends with `create()`. */
  static builder(name: string): SnapshotBuilder {
    return new SnapshotBuilder(name);
  }

  /**
   * Takes a snapshot of a sandbox's disk. The sandbox may run: its writes then wait until the copy is done, and what was
   * written before is in it.
   *
   * @throws {InvalidConfigError} naming every option that is wrong.
   * @throws {SnapshotAlreadyExistsError} if the name is taken, without `force`.
   * @throws {SandboxNotFoundError} if there is no such sandbox.
   * @throws {SandboxReplacedError} if another has its name.
   * @throws {SandboxBusyError} if it was started and stopped all the time.
   * @throws {TimeoutError | AbortedError | IoError}
   */
  static async create(given: SnapshotCreateOptions): Promise<Snapshot> {
    checkFields(given, FIELDS.create, "options");
    const { from, ...options } = given;
    return await Snapshot.take(await sandboxOf(from), options);
  }

  /** @internal */
  static async take(
    sandbox: BackendSandbox,
    options: Omit<SnapshotCreateOptions, "from">,
  ): Promise<Snapshot> {
    return new Snapshot(sandbox.backend, await sandbox.takeSnapshot(options));
  }

  /**
   * Finds a snapshot by its name.
   *
   * @throws {SnapshotNotFoundError}
   * @throws {SnapshotIntegrityError} if what is known of it is damaged. Its disk is for {@linkcode verify} to read.
   */
  static async get(name: string): Promise<Snapshot> {
    const backend = defaultBackend();
    return new Snapshot(backend, await backend.snapshots.get(name));
  }

  /** The same as {@linkcode Snapshot.get}. */
  static open(name: string): Promise<Snapshot> {
    return Snapshot.get(name);
  }

  /** The snapshots of this home by name. One that is damaged is not among them. @throws {InvalidConfigError} */
  static async list(options: SnapshotListOptions = {}): Promise<Snapshot[]> {
    const { labels = {} } = parseConfig(listSchema, withoutUndefined(options), "options");
    const backend = defaultBackend();
    return (await backend.snapshots.list())
      .filter(({ descriptor }) => hasLabels(descriptor.labels, labels))
      .map((record) => new Snapshot(backend, record));
  }

  /** Removes a snapshot. Sandboxes that were made from it stay as they are. @throws {SnapshotNotFoundError} */
  static async remove(name: string): Promise<void> {
    await defaultBackend().snapshots.remove(name);
  }

  /** See {@linkcode Snapshot.prototype.save}. */
  static async save(name: string, path: string, options: SnapshotSaveOptions = {}): Promise<void> {
    await (await Snapshot.get(name)).save(path, options);
  }

  /**
   * Takes a snapshot out of an archive that {@linkcode save} wrote. It has the name that it was saved under. Its image is
   * not in the archive: it is pulled when a sandbox is made from the snapshot.
   *
   * @throws {SnapshotIntegrityError} if the archive is damaged, or is none.
   * @throws {SnapshotAlreadyExistsError}
   * @throws {IoError | AbortedError}
   */
  static async load(
    path: string,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Snapshot> {
    const backend = defaultBackend();
    return new Snapshot(backend, await backend.snapshots.load(path, { signal }));
  }

  /** Itself. The known SDK has handles of snapshots, which are opened. */
  async open(): Promise<this> {
    return this;
  }

  /** Reads the whole disk. @throws {SnapshotIntegrityError} if its content is not what it was. */
  async verify({
    signal,
  }: {
    readonly signal?: AbortSignal | undefined;
  } = {}): Promise<SnapshotVerifyReport> {
    await this.#backend.snapshots.verify(this.name, this.digest, { signal });
    const { algorithm, digest } = this.#descriptor.upper.integrity;
    return { digest: this.digest, path: this.path, upper: { kind: "verified", algorithm, digest } };
  }

  /**
   * Writes the snapshot to one file, a tar that is compressed with zstd; a file of that name is replaced. The disk is
   * verified on the way.
   *
   * @throws {SnapshotIntegrityError | SnapshotNotFoundError | IoError | AbortedError}
   */
  async save(path: string, options: SnapshotSaveOptions = {}): Promise<void> {
    checkFields(options, FIELDS.save, "options");
    await this.#backend.snapshots.save(this.name, this.digest, path, options);
  }

  /** Like `Snapshot.remove()`, but never a snapshot that has taken its name since. */
  async remove(): Promise<void> {
    await this.#backend.snapshots.remove(this.name, this.digest);
  }
}

/**
 * Collects {@linkcode SnapshotCreateOptions}.
 *
 * @example
 * ```ts with box
 * const snapshot = await Snapshot.builder("ready").fromSandbox("box").label("team", "blue").force().create();
 * ```
 */
export class SnapshotBuilder {
  #options: SnapshotCreateOptions;

  /** The same as `Snapshot.builder(name)`. */
  constructor(name: string) {
    this.#options = { name, from: "" };
  }

  /** Whose disk: a name, or a `Sandbox` or `SandboxHandle`. */
  fromSandbox(from: SnapshotSource): this {
    return this.#set({ from });
  }

  /** Adds a label. */
  label(key: string, value: string): this {
    return this.labels({ [key]: value });
  }

  /** Adds labels. */
  labels(labels: Readonly<Record<string, string>>): this {
    return this.#set({ labels: { ...this.#options.labels, ...labels } });
  }

  /** Takes the place of a snapshot of the same name: see {@linkcode SnapshotCreateOptions.force}. */
  force(): this {
    return this.#set({ force: true });
  }

  /** Kept for the known SDK: every snapshot records the digest of its content. */
  recordIntegrity(): this {
    return this;
  }

  /** Takes the snapshot. Errors: see `Snapshot.create()`. */
  create(options: Pick<SnapshotCreateOptions, "signal" | "onProgress"> = {}): Promise<Snapshot> {
    return Snapshot.create({ ...this.#options, ...options });
  }

  #set(options: Partial<SnapshotCreateOptions>): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}

async function sandboxOf(from: SnapshotSource): Promise<BackendSandbox> {
  const backend = defaultBackend();
  if (typeof from !== "string") return backend.sandbox(from);
  checkSandboxName(from);
  return (await getSandbox(backend, from)).sandbox;
}
