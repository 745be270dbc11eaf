/**
 * `snapshot.json`: everything about a snapshot except the bytes of its disk.
 *
 * The text is canonical (keys sorted, no spaces), so that equal descriptors are equal bytes. Their SHA-256 identifies
 * the snapshot.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { messageOf } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import { CONTENT_ALGORITHM } from "./content_digest.ts";
import { SnapshotIntegrityError } from "./errors.ts";

/** Longest descriptor to read, in bytes. */
export const DESCRIPTOR_BYTES_MAX = 1024 * 1024;
/** Name of the disk's file, in the snapshot's directory and in its archive. */
export const UPPER_NAME = "upper.ext4";
export const DESCRIPTOR_NAME = "snapshot.json";

const LABELS_MAX = 64;
const DISK_BYTES_MAX = 16 * 1024 ** 4;
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

const name = z
  .string()
  .min(1)
  .max(128)
  .regex(NAME_PATTERN, "must be letters, digits, `.`, `_` and `-`, and begin with a letter or digit");
const labels = z
  .record(z.string().min(1).max(128), z.string().max(1024))
  .refine((record) => Object.keys(record).length <= LABELS_MAX, `must be at most ${LABELS_MAX}`);
const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const texts = z.array(z.string()).readonly();

const schema = z.strictObject({
  version: z.literal(1),
  name,
  /** Unique ID of this snapshot, even if another later has the same name. */
  id: z.uuid(),
  createdAt: z.iso.datetime(),
  /** The sandbox that the snapshot was taken of. */
  source: z.strictObject({ name: z.string(), id: z.string() }),
  /** The image under the disk. */
  image: z.strictObject({
    digest: z.string(),
    reference: z.string(),
    config: z.strictObject({
      entrypoint: texts.optional(),
      cmd: texts.optional(),
      env: texts.optional(),
      workingDir: z.string().optional(),
      user: z.string().optional(),
      labels: labels.optional(),
    }),
  }),
  /**
   * Size of the VM that used the disk. The environment and arguments of its programs may be secret and are not kept.
   */
  machine: z.strictObject({ cpus: z.int().min(1), memoryMiB: z.int().min(1) }).optional(),
  upper: z.strictObject({
    file: z.literal(UPPER_NAME),
    format: z.literal("raw"),
    fileSystem: z.literal("ext4"),
    sizeBytes: z.int().min(1024).max(DISK_BYTES_MAX),
    integrity: z.strictObject({ algorithm: z.literal(CONTENT_ALGORITHM), digest: sha256 }),
  }),
  labels,
  /** Digest of the snapshot that the source was made from. */
  parent: sha256.nullable(),
});

/** Content of `snapshot.json`. */
export type SnapshotDescriptor = z.output<typeof schema>;

/** An encoded descriptor and its digest. */
export interface EncodedDescriptor {
  readonly bytes: Uint8Array;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
}

/** Encodes a descriptor. @throws {InvalidConfigError} A field is invalid. */
export function encodeDescriptor(descriptor: SnapshotDescriptor): EncodedDescriptor {
  const bytes = encodeUtf8(`${canonicalJson(parseConfig(schema, descriptor, "snapshot"))}\n`);
  return { bytes, digest: digestOf(bytes) };
}

/** Decodes a descriptor. @throws {SnapshotIntegrityError} The bytes are not a descriptor in its canonical form. */
export function decodeDescriptor(
  snapshot: string,
  bytes: Uint8Array,
): { readonly descriptor: SnapshotDescriptor; readonly digest: string } {
  let json: unknown;
  try {
    json = JSON.parse(decodeUtf8(bytes));
  } catch (cause) {
    throw new SnapshotIntegrityError(snapshot, `${DESCRIPTOR_NAME}: ${messageOf(cause)}`, { cause });
  }
  const descriptor = parseDescriptor(snapshot, json);
  if (`${canonicalJson(descriptor)}\n` !== decodeUtf8(bytes))
    throw new SnapshotIntegrityError(snapshot, `${DESCRIPTOR_NAME} is not in its canonical form`);
  return { descriptor, digest: digestOf(bytes) };
}

export function isSnapshotName(text: string): boolean {
  return name.safeParse(text).success;
}

/** Checks a name, labels and `force`. @throws {InvalidConfigError} One of them is invalid. */
export function checkNameAndLabels(given: {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly force?: boolean | undefined;
}): void {
  parseConfig(
    z.object({ name, labels: labels.optional(), force: z.boolean().optional() }),
    given,
    "snapshot",
  );
}

function parseDescriptor(snapshot: string, json: unknown): SnapshotDescriptor {
  try {
    return parseConfig(schema, json, "snapshot");
  } catch (cause) {
    throw new SnapshotIntegrityError(snapshot, `${DESCRIPTOR_NAME}: ${messageOf(cause)}`, { cause });
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Returns JSON with sorted keys and without undefined values. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
