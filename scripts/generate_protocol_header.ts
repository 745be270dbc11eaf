/**
 * Writes `guest/protocol.h` from `src/agent/protocol.ts` and `guest/file_protocol.h` from `src/agent/file_messages.ts`:
 * constants, a struct for each message, its decoder and its encoder. `--check` writes nothing and fails if a file on disk
 * differs.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as files from "../src/agent/file_messages.ts";
import type { FieldType, MessageDefinition } from "../src/agent/protocol.ts";
import * as protocol from "../src/agent/protocol.ts";

const C_TYPES: Record<FieldType, string> = {
  u8: "uint8_t",
  u16: "uint16_t",
  u32: "uint32_t",
  u64: "uint64_t",
  i32: "int32_t",
  i64: "int64_t",
  blob: "struct text",
  text: "struct text",
  texts: "struct texts",
  bytes: "struct text",
};

/** The text of `guest/protocol.h`. */
export function protocolHeader(): string {
  return `${[
    "/* Generated from src/agent/protocol.ts by scripts/generate_protocol_header.ts: do not edit. */",
    "#pragma once",
    '#include "wire.h"',
    "",
    "enum {",
    ...constants({
      PROTOCOL_VERSION: protocol.PROTOCOL_VERSION,
      FRAME_HEADER_BYTES: protocol.FRAME_HEADER_BYTES,
      FRAME_PAYLOAD_BYTES_MAX: protocol.FRAME_PAYLOAD_BYTES_MAX,
      STREAM_WINDOW_BYTES: protocol.STREAM_WINDOW_BYTES,
      EXEC_START_BYTES_MAX: protocol.EXEC_START_BYTES_MAX,
      SESSIONS_MAX: protocol.SESSIONS_MAX,
    }),
    "};",
    "",
    ...enumeration("FRAME_FLAG", protocol.FrameFlag),
    ...enumeration("EXEC_FLAG", protocol.ExecFlag),
    ...enumeration("ADOPT_FLAG", protocol.AdoptFlag),
    ...enumeration("MOUNT_FLAG", protocol.MountFlag),
    ...enumeration("MOUNT_NOTICE", protocol.MountNotice),
    ...enumeration("NETWORK_FEATURE", protocol.NetworkFeature),
    ...enumeration("FLOW_PROTOCOL", protocol.FlowProtocolCode),
    ...enumeration("FLOW_REFUSAL", protocol.FlowRefusalCode),
    ...enumeration("EXEC_FAILURE", protocol.ExecFailure),
    ...enumeration("BOOT_STAGE", protocol.BootStage),
    ...enumeration("WIRE_ERROR", protocol.WireError),
    ...messages("MSG_", protocol.MESSAGES),
  ].join("\n")}\n`;
}

/** The text of `guest/file_protocol.h`. */
export function fileProtocolHeader(): string {
  return `${[
    "/* Generated from src/agent/file_messages.ts by scripts/generate_protocol_header.ts: do not edit. */",
    "#pragma once",
    '#include "wire.h"',
    "",
    "enum {",
    ...constants({
      FILE_DATA_BYTES_MAX: files.FILE_DATA_BYTES_MAX,
      FILE_MESSAGE_BYTES_MAX: files.FILE_MESSAGE_BYTES_MAX,
      FILE_PATH_BYTES_MAX: files.FILE_PATH_BYTES_MAX,
    }),
    "};",
    "#define FILE_OWNER_UNCHANGED UINT32_MAX",
    "",
    ...enumeration("FILE_KIND", files.FileKind),
    ...enumeration("FILE_FLAG", files.FileFlag),
    ...enumeration("FILE_CHANGE_KIND", files.FileChange),
    ...messages("FILE_", files.FILE_MESSAGES),
  ].join("\n")}\n`;
}

function messages(prefix: string, table: Readonly<Record<string, MessageDefinition>>): string[] {
  return [
    "enum {",
    ...Object.entries(table).map(([name, { type }]) => `    ${prefix}${upper(name)} = ${type},`),
    "};",
    ...Object.entries(table).flatMap(([name, message]) => [
      "",
      ...messageCode(prefix.toLowerCase(), name, message),
    ]),
  ];
}

function constants(values: Readonly<Record<string, number>>): string[] {
  return Object.entries(values).map(([name, value]) => `    ${name} = ${value},`);
}

function enumeration(prefix: string, values: Readonly<Record<string, number>>): string[] {
  return [
    "enum {",
    ...Object.entries(values).map(([name, value]) => `    ${prefix}_${upper(name)} = ${value},`),
    "};",
    "",
  ];
}

function messageCode(prefix: string, name: string, { about, fields }: MessageDefinition): string[] {
  const all = Object.entries(fields);
  if (all.length === 0) return [`/* ${name}: ${about}. No fields. */`];
  const struct = `struct ${prefix}${lower(name)}`;
  const each = (line: (field: string, type: FieldType) => string): string[] =>
    all.map(([f, t]) => line(memberName(f), t));
  return [
    `/* ${name}: ${about}. */`,
    `${struct} {`,
    ...each((field, type) => `    ${C_TYPES[type]} ${field};`),
    "};",
    `static inline bool ${prefix}${lower(name)}_decode(struct reader *reader, ${struct} *message) {`,
    ...each((field, type) => `    message->${field} = read_${type}(reader);`),
    "    return reader_finished(reader);",
    "}",
    `static inline void ${prefix}${lower(name)}_encode(struct writer *writer, const ${struct} *message) {`,
    ...each((field, type) => `    write_${type}(writer, message->${field});`),
    "}",
  ];
}

/** A field as a member of a C struct: `errno` is a macro there. */
function memberName(field: string): string {
  return field === "errno" ? "error_number" : lower(field);
}

/** `execStart` → `exec_start`. */
function lower(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function upper(name: string): string {
  return lower(name).toUpperCase();
}

/** The generated files by their path. */
const HEADERS: Readonly<Record<string, () => string>> = {
  "guest/protocol.h": protocolHeader,
  "guest/file_protocol.h": fileProtocolHeader,
};

if (import.meta.main) {
  for (const [name, text] of Object.entries(HEADERS)) {
    const path = fileURLToPath(new URL(`../${name}`, import.meta.url));
    if (!process.argv.includes("--check")) {
      writeFileSync(path, text());
    } else if (readFileSync(path, "utf8") !== text()) {
      console.error(`${name} differs from src/agent: run \`bun run generate\``);
      process.exitCode = 1;
    }
  }
}
