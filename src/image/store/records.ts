/**
 * Reads and writes the store's records of images, which are JSON files. A record that is damaged or of another version
 * counts as missing, since everything in it can be restored.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { IoError } from "../../base/errors.ts";
import { textIfPresent } from "../../platform/if_present.ts";
import { type Digest, isDigest } from "../oci/digest.ts";

/** Version of what is written for the same input. Images of another version are built again. */
export const FORMAT_VERSION = 1;

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value));
const optionalText = z.string().optional();

export const imageRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  digest,
  /** Size of the disk, in bytes. */
  sizeBytes: z.int().min(0),
  origin: z.enum(["image", "directory", "tar"]),
  /** Where the directory or tar was when the disk was made. Another path with the same content has the same record. */
  localPath: optionalText,
  manifestDigest: digest.optional(),
  configDigest: digest.optional(),
  /** Platform as the image states it, empty if it does not; for a directory or tar, the requested platform. */
  os: z.string(),
  architecture: z.string(),
  variant: optionalText,
  layers: z.array(z.object({ digest, diffId: digest, mediaType: z.string(), sizeBytes: z.int().min(0) })),
  config: z.object({
    entrypoint: z.array(z.string()).optional(),
    cmd: z.array(z.string()).optional(),
    env: z.array(z.string()),
    workingDir: optionalText,
    user: optionalText,
    labels: z.record(z.string(), z.string()),
    exposedPorts: z.array(z.string()),
    volumes: z.array(z.string()),
    stopSignal: optionalText,
  }),
  createdAt: z.string(),
});

/** Record of a disk. */
export type ImageRecord = z.output<typeof imageRecordSchema>;

export const referenceRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  /** Full reference: see `formatReference()`. */
  reference: z.string(),
  platform: z.string(),
  digest,
  /** Digest that the registry has under the name: of the image's manifest, or of the index that leads to it. */
  remoteDigest: digest,
  pulledAt: z.string(),
});

/** Record of what a name stands for. */
export type ReferenceRecord = z.output<typeof referenceRecordSchema>;

export const sourceRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  path: z.string(),
  digest,
});

/** Record of what a local path contained. */
export type SourceRecord = z.output<typeof sourceRecordSchema>;

/** Returns the record in a file, or `undefined` if there is no usable one. */
export function readRecord<T>(path: string, schema: z.ZodType<T>): T | undefined {
  const text = textIfPresent(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined; // see the module comment
  }
}

/** Suffix of a record that is being written. */
export const TEMPORARY_SUFFIX = ".tmp";

/** Writes a record so that it appears complete or not at all, even after a power loss. */
export function writeRecord(path: string, record: object): void {
  const temporary = `${path}.${randomBytes(6).toString("hex")}${TEMPORARY_SUFFIX}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(temporary, path);
    syncDirectory(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new IoError(`write ${path}`, path, error);
  }
}

/** Makes renames in a directory durable. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
