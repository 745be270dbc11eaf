/**
 * What the store knows about images, as JSON files. A record that cannot be read, of another version or damaged, counts
 * as absent: everything in it can be had again.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { errnoOf, IoError } from "../../base/errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";

/**
 * Counts changes of what is written for the same input. Images of another number are made again.
 */
export const FORMAT_VERSION = 1;

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value));
const optionalText = z.string().optional();

export const imageRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  digest,
  /** Size of the disk. */
  sizeBytes: z.int().min(0),
  origin: z.enum(["image", "directory", "tar"]),
  manifestDigest: digest.optional(),
  configDigest: digest.optional(),
  /** The platform as the image states it, empty where it does not; of a directory or tar, the one that was wanted. */
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

/** One disk of the store. */
export type ImageRecord = z.output<typeof imageRecordSchema>;

export const referenceRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  /** In full: see `formatReference()`. */
  reference: z.string(),
  platform: z.string(),
  digest,
  /** What the registry has under the name: the image's manifest, or the index that it is in. */
  remoteDigest: digest,
  pulledAt: z.string(),
});

/** What a name stands for. */
export type ReferenceRecord = z.output<typeof referenceRecordSchema>;

export const sourceRecordSchema = z.object({
  version: z.literal(FORMAT_VERSION),
  path: z.string(),
  digest,
});

/** What a local path was. */
export type SourceRecord = z.output<typeof sourceRecordSchema>;

/** The record in a file; `undefined` where there is none that can be used. */
export function readRecord<T>(path: string, schema: z.ZodType<T>): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new IoError(`read ${path}`, path, error);
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined; // see the module comment
  }
}

/** How the name of a record ends that is being written. */
export const TEMPORARY_SUFFIX = ".tmp";

/** Writes a record so that it is there whole or not at all, also after a loss of power. */
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
