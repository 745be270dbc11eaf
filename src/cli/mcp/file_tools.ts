/** Tools for the files of a sandbox. @module */
import { z } from "zod";
import { InvalidConfigError } from "../../../mod.ts";
import { ENTRIES_MAX } from "./settings.ts";
import { CHANGES, fields, READS, tool } from "./tools.ts";

const write = tool({
  name: "sandbox_write_file",
  title: "Write a file",
  description: "Writes a file in a sandbox, as a whole; directories above it are made.",
  annotations: { ...CHANGES, idempotentHint: true },
  input: z.strictObject({
    sandbox: fields.sandbox,
    path: fields.path,
    content: z.string(),
    encoding: z.enum(["utf8", "base64"]).default("utf8").describe("Encoding of `content`."),
  }),
  output: z.object({ path: z.string(), sizeBytes: z.int() }),
  async run({ sandbox: name, path, content, encoding }, { sandboxes }, signal) {
    const bytes = encoding === "base64" ? decodeBase64(content) : new TextEncoder().encode(content);
    const sandbox = await sandboxes.running(name);
    await sandbox.fs().write(path, bytes, { signal });
    return { path, sizeBytes: bytes.length };
  },
});

const read = tool({
  name: "sandbox_read_file",
  title: "Read a file",
  description:
    "Reads a file of a sandbox, or a part of it: go on at `offset` plus `readBytes` if `omittedBytes` is not 0.",
  annotations: READS,
  input: z.strictObject({
    sandbox: fields.sandbox,
    path: fields.path,
    offset: z.int().min(0).default(0).describe("Where to begin, in bytes."),
    length: z.int().min(1).optional().describe("How many bytes; at most what fits into an answer."),
    encoding: z.enum(["utf8", "base64"]).default("utf8").describe("Encoding of `content`."),
  }),
  output: z.object({
    content: z.string(),
    readBytes: z.int().describe("How many bytes of the file `content` is."),
    omittedBytes: z.int().min(0).describe("How many bytes of the file follow."),
    sizeBytes: z.int(),
    isText: z.boolean().describe("Whether these bytes are UTF-8: if not, read them as base64."),
  }),
  async run({ sandbox: name, path, offset, length, encoding }, { sandboxes, settings }, signal) {
    const sandbox = await sandboxes.running(name);
    const wanted = Math.min(length ?? settings.outputBytesMax, settings.outputBytesMax);
    await using stream = await sandbox.fs().readStream(path, { offset, length: wanted, signal });
    const { size } = stream.metadata;
    const bytes = Buffer.from(await stream.collect(wanted));
    const { text, length: readBytes, isText } = encoding === "utf8" ? decodeText(bytes) : asBase64(bytes);
    return {
      content: text,
      readBytes,
      omittedBytes: Math.max(0, size - offset - readBytes),
      sizeBytes: size,
      isText,
    };
  },
});

const list = tool({
  name: "sandbox_list_files",
  title: "List a directory",
  description: "Lists a directory of a sandbox.",
  annotations: READS,
  input: z.strictObject({ sandbox: fields.sandbox, path: fields.path }),
  output: z.object({
    entries: z.array(
      z.object({
        name: z.string(),
        kind: z.enum(["file", "directory", "symlink", "other"]),
        sizeBytes: z.int(),
        modifiedAt: z.string().nullable(),
      }),
    ),
    omittedEntries: z
      .int()
      .min(0)
      .describe(`How many are left out beyond ${ENTRIES_MAX}, or beyond the limit of an answer.`),
  }),
  async run({ sandbox: name, path }, { sandboxes, settings }, signal) {
    const sandbox = await sandboxes.running(name);
    const found = await sandbox.fs().list(path, { signal });
    const entries = [];
    let room = settings.outputBytesMax;
    for (const entry of found.slice(0, ENTRIES_MAX)) {
      room -= entry.nameBytes.length;
      if (room < 0) break;
      const { name, kind, size: sizeBytes, modified } = entry;
      entries.push({ name, kind, sizeBytes, modifiedAt: modified?.toISOString() ?? null });
    }
    return { entries, omittedEntries: found.length - entries.length };
  },
});

interface Decoded {
  readonly text: string;
  /** How many bytes of the file the text stands for. */
  readonly length: number;
  readonly isText: boolean;
}

/** A character that is cut off at the end is left for the next part. */
function decodeText(bytes: Buffer): Decoded {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const text = decoder.decode(bytes, { stream: true });
    const length = Buffer.byteLength(text);
    if (length > 0 || bytes.length === 0) return { text, length, isText: true };
  } catch {
    // It is not UTF-8, and the answer says so.
  }
  return { text: bytes.toString("utf8"), length: bytes.length, isText: false };
}

function asBase64(bytes: Buffer): Decoded {
  return { text: bytes.toString("base64"), length: bytes.length, isText: decodeText(bytes).isText };
}

/** @throws {InvalidConfigError} if it is not base64 */
function decodeBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64").replace(/=+$/, "") !== text.replaceAll(/\s|=+$/g, ""))
    throw new InvalidConfigError([{ field: "content", problem: "must be base64" }]);
  return bytes;
}

/** All of them. */
export const FILE_TOOLS = [write, read, list];
