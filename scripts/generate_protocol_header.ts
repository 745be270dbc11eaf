/**
 * Writes `guest/protocol.h` from `src/agent/protocol.ts`: constants, a struct for each message, its decoder and its
 * encoder. `--check` writes nothing and fails if the file on disk differs.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { FieldType, MessageDefinition } from "../src/agent/protocol.ts";
import * as protocol from "../src/agent/protocol.ts";

const C_TYPES: Record<FieldType, string> = {
  u8: "uint8_t",
  u16: "uint16_t",
  u32: "uint32_t",
  u64: "uint64_t",
  i32: "int32_t",
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
    ...constants(),
    "};",
    "",
    ...enumeration("FRAME_FLAG", protocol.FrameFlag),
    ...enumeration("EXEC_FLAG", protocol.ExecFlag),
    ...enumeration("EXEC_FAILURE", protocol.ExecFailure),
    ...enumeration("BOOT_STAGE", protocol.BootStage),
    ...enumeration("WIRE_ERROR", protocol.WireError),
    "enum {",
    ...Object.entries(protocol.MESSAGES).map(([name, { type }]) => `    MSG_${upper(name)} = ${type},`),
    "};",
    ...Object.entries<MessageDefinition>(protocol.MESSAGES).flatMap(([name, message]) => [
      "",
      ...messageCode(name, message),
    ]),
  ].join("\n")}\n`;
}

function constants(): string[] {
  const shared = {
    PROTOCOL_VERSION: protocol.PROTOCOL_VERSION,
    FRAME_HEADER_BYTES: protocol.FRAME_HEADER_BYTES,
    FRAME_PAYLOAD_BYTES_MAX: protocol.FRAME_PAYLOAD_BYTES_MAX,
    STREAM_WINDOW_BYTES: protocol.STREAM_WINDOW_BYTES,
    EXEC_START_BYTES_MAX: protocol.EXEC_START_BYTES_MAX,
    SESSIONS_MAX: protocol.SESSIONS_MAX,
  };
  return Object.entries(shared).map(([name, value]) => `    ${name} = ${value},`);
}

function enumeration(prefix: string, values: Readonly<Record<string, number>>): string[] {
  return [
    "enum {",
    ...Object.entries(values).map(([name, value]) => `    ${prefix}_${upper(name)} = ${value},`),
    "};",
    "",
  ];
}

function messageCode(name: string, { about, fields }: MessageDefinition): string[] {
  const all = Object.entries(fields);
  if (all.length === 0) return [`/* ${name}: ${about}. No fields. */`];
  const struct = `struct msg_${lower(name)}`;
  const each = (line: (field: string, type: FieldType) => string): string[] =>
    all.map(([f, t]) => line(memberName(f), t));
  return [
    `/* ${name}: ${about}. */`,
    `${struct} {`,
    ...each((field, type) => `    ${C_TYPES[type]} ${field};`),
    "};",
    `static inline bool msg_${lower(name)}_decode(struct reader *reader, ${struct} *message) {`,
    ...each((field, type) => `    message->${field} = read_${type}(reader);`),
    "    return reader_finished(reader);",
    "}",
    `static inline void msg_${lower(name)}_encode(struct writer *writer, const ${struct} *message) {`,
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

if (import.meta.main) {
  const path = fileURLToPath(new URL("../guest/protocol.h", import.meta.url));
  if (process.argv.includes("--check")) {
    if (readFileSync(path, "utf8") !== protocolHeader()) {
      console.error("guest/protocol.h differs from src/agent/protocol.ts: run `bun run generate`");
      process.exit(1);
    }
  } else {
    writeFileSync(path, protocolHeader());
  }
}
