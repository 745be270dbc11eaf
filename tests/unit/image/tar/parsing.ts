/** Helpers that parse a whole tar, or expect it to be refused. @module */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TarInvalidError } from "../../../../src/image/errors.ts";
import type { TarMember } from "../../../../src/image/tar/member.ts";
import { TarParser, type TarParserOptions } from "../../../../src/image/tar/parser.ts";

export interface Parsed {
  member: TarMember;
  data: string;
}

export function parse(tar: Uint8Array, options: TarParserOptions & { step?: () => number } = {}): Parsed[] {
  const parsed: Parsed[] = [];
  const parser = new TarParser((member) => {
    const chunks: Uint8Array[] = [];
    const entry: Parsed = { member, data: "" };
    parsed.push(entry);
    return {
      write: (bytes) => void chunks.push(Buffer.from(bytes)),
      writeZeros: (count) => void chunks.push(new Uint8Array(count)),
      end: () => {
        entry.data = Buffer.concat(chunks).toString("latin1");
      },
    };
  }, options);
  for (let at = 0; at < tar.length; ) {
    const count = options.step?.() ?? tar.length;
    parser.push(tar.subarray(at, at + count));
    at += count;
  }
  parser.end();
  return parsed;
}

export function parseOne(tar: Uint8Array): Parsed {
  const [first, ...rest] = parse(tar);
  assert.equal(rest.length, 0);
  assert.ok(first);
  return first;
}

export function assertRefused(tar: Uint8Array, member: string | undefined, problem: RegExp): void {
  assert.throws(
    () => parse(tar),
    (error) => {
      assert.ok(error instanceof TarInvalidError, `${error}`);
      assert.equal(error.code, "tarInvalid");
      assert.equal(error.member, member);
      assert.match(error.problem, problem);
      return true;
    },
  );
}

/** Contents of the sparse members in tests. */
export const SPARSE_TEXT = `${"\0".repeat(600)}middle${"\0".repeat(394)}end\0\0`;

/** That file in each version of the PAX format. */
export const PAX_SPARSE: Record<string, { data: string; pax: [string, string][] }> = {
  "0.0": {
    data: "middleend",
    pax: [
      ["GNU.sparse.size", `${SPARSE_TEXT.length}`],
      ["GNU.sparse.numblocks", "2"],
      ["GNU.sparse.offset", "600"],
      ["GNU.sparse.numbytes", "6"],
      ["GNU.sparse.offset", "1000"],
      ["GNU.sparse.numbytes", "3"],
    ],
  },
  "0.1": {
    data: "middleend",
    pax: [
      ["GNU.sparse.size", `${SPARSE_TEXT.length}`],
      ["GNU.sparse.name", "real"],
      ["GNU.sparse.map", "600,6,1000,3"],
    ],
  },
  "1.0": {
    data: `${"2\n600\n6\n1000\n3\n".padEnd(512, "\0")}middleend`,
    pax: [
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.name", "real"],
      ["GNU.sparse.realsize", `${SPARSE_TEXT.length}`],
    ],
  },
};
