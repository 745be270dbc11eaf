/** Detects what kind of image a path holds. Only the content counts, never the name. @module */
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { IoError } from "../base/errors.ts";
import { isErofs } from "./erofs/format.ts";
import { TarInvalidError } from "./errors.ts";
import { abortable, readFileChunks } from "./stream/byte_stream.ts";
import { type Compression, decompress, detectCompression } from "./stream/compression.ts";
import { UnpackBudget } from "./stream/unpack_budget.ts";
import { Pace } from "./stream/yielding.ts";
import { isTarHeader } from "./tar/header.ts";
import { TarParser } from "./tar/parser.ts";
import type { ByteString } from "./tree/tree.ts";

/** Kind of image source at a path. */
export type ImageSourceKind =
  /** An ordinary directory: a root file system. */
  | { readonly kind: "directory" }
  /** A directory in the OCI image layout. */
  | { readonly kind: "ociLayout" }
  /** A tar that holds an OCI image layout or the output of `docker save`. */
  | { readonly kind: "imageArchive"; readonly compression: Compression }
  /** A tar with a root file system. */
  | { readonly kind: "tar"; readonly compression: Compression }
  | { readonly kind: "erofs" }
  | { readonly kind: "unknown" };

const HEAD_BYTES = 4096;
const ACTION = "looking at an image";
/** Names at the top of an image archive: those of an OCI layout, and of `docker save` in its older form. */
const ARCHIVE_NAMES =
  /^(\.|blobs(\/.*)?|oci-layout|index\.json|manifest\.json|repositories|[0-9a-f]{64}(\.json|\.tar|\/.*)?)$/;
const ARCHIVE_MARKS: readonly ByteString[] = ["index.json", "manifest.json"];
const LAYOUT_MARK = "oci-layout";

/** Limits of {@linkcode detectImageSource}. */
export interface DetectOptions {
  /** Most decompressed bytes of a tar to read. @default {UNPACKED_BYTES_MAX} */
  readonly maxUnpackedBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Detects the kind of source at `path`. For a tar, reads as many members as it takes to tell an image archive from a
 * root file system: usually one, but all of an archive whose index comes last.
 *
 * @throws {IoError} It cannot be read.
 * @throws {TarInvalidError} It has a compression that is not supported, or more bytes than the limit.
 * @throws {AbortedError}
 */
export async function detectImageSource(path: string, options: DetectOptions = {}): Promise<ImageSourceKind> {
  const stats = attempt(path, () => statSync(path));
  if (stats.isDirectory()) return { kind: exists(join(path, LAYOUT_MARK)) ? "ociLayout" : "directory" };
  if (!stats.isFile()) return { kind: "unknown" };
  const head = await readHead(path);
  if (isErofs(head)) return { kind: "erofs" };
  const compression = detectCompression(head);
  if (compression === "none" && !isTarHeader(head)) return { kind: "unknown" };
  const kind = await classifyTar(path, compression, options);
  return kind === "unknown" ? { kind } : { kind, compression };
}

/** Reads members until one decides. A damaged tar is not an error here: whatever reads it next will report it. */
async function classifyTar(
  path: string,
  compression: Compression,
  { maxUnpackedBytes, signal }: DetectOptions,
): Promise<"tar" | "imageArchive" | "unknown"> {
  let verdict: "tar" | "imageArchive" | undefined;
  let hasMember = false;
  const parser = new TarParser((member) => {
    hasMember = true;
    const name = member.name.replace(/^(\.\/)+/, "").replace(/\/$/, "") || ".";
    if (!ARCHIVE_NAMES.test(name)) verdict ??= "tar";
    else if (ARCHIVE_MARKS.includes(name)) verdict ??= "imageArchive";
    return undefined;
  });
  const budget = new UnpackBudget(maxUnpackedBytes);
  const pace = new Pace(ACTION, signal);
  try {
    const source = budget.spend(decompress(readFileChunks(path), compression));
    for await (const chunk of abortable(source, ACTION, signal)) {
      parser.push(chunk);
      if (verdict !== undefined || parser.hasEnded) break;
      if (pace.isTurnOver()) await pace.turn();
    }
  } catch (error) {
    if (!(error instanceof TarInvalidError) || budget.isExceeded) throw error;
  }
  return verdict ?? (hasMember || compression === "none" ? "tar" : "unknown");
}

async function readHead(path: string): Promise<Uint8Array> {
  try {
    await using handle = await open(path, "r");
    const head = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await handle.read(head, 0, HEAD_BYTES, 0);
    return head.subarray(0, bytesRead);
  } catch (error) {
    throw new IoError(`read ${path}`, path, error);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw new IoError(`read ${path}`, path, error);
  }
}
