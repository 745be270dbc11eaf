import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "../../../support/harness.ts";
import { buildMember, buildTar, END_MARK } from "./builder.ts";
import { assertRefused, PAX_SPARSE, parse, parseOne, SPARSE_TEXT } from "./parsing.ts";

test("TarParser spreads a sparse member of the old GNU format", () => {
  const octal = (value: number): string => `${value.toString(8).padStart(11, "0")}\0`;
  const patch = (header: Buffer): void => {
    header.write("ustar  \0", 257);
    header.write(octal(600) + octal(6) + octal(1000) + octal(3), 386);
    header.write(octal(SPARSE_TEXT.length), 483);
  };
  const { member, data } = parseOne(buildTar({ name: "s", type: "S", data: "middleend", patch }));
  assert.equal(member.sizeBytes, SPARSE_TEXT.length);
  assert.equal(data, SPARSE_TEXT);
});

test("TarParser continues the list of an old sparse member that has more parts than its header", () => {
  const octal = (value: number): string => `${value.toString(8).padStart(11, "0")}\0`;
  const parts = Array.from({ length: 30 }, (_, index) => octal(index * 10) + octal(1));
  const patch = (header: Buffer): void => {
    header.write("ustar  \0", 257);
    header.write(parts.slice(0, 4).join(""), 386);
    header[482] = 1;
    header.write(octal(300), 483);
  };
  const extensions = Buffer.alloc(1024);
  extensions.write(parts.slice(4, 25).join(""), 0);
  extensions[504] = 1;
  extensions.write(parts.slice(25).join(""), 512);
  const member = buildMember({ name: "s", type: "S", data: "x".repeat(30), patch });
  const { data } = parseOne(
    Buffer.concat([member.subarray(0, 512), extensions, member.subarray(512), END_MARK]),
  );
  assert.equal(data, `x${"\0".repeat(9)}`.repeat(30));
});

for (const [version, { data, pax }] of Object.entries(PAX_SPARSE)) {
  test(`TarParser spreads a sparse member of PAX version ${version}`, () => {
    const [sparse, next] = parse(buildTar({ name: "GNUSparseFile.1/f", data, pax }, { name: "next" }));
    assert.equal(sparse!.data, SPARSE_TEXT);
    if (version !== "0.0") assert.equal(sparse!.member.name, "real");
    assert.equal(next!.member.name, "next");
  });
}

for (const [what, map] of [
  ["runs backwards", "1000,3,600,6"],
  ["is longer than its file", "600,6,5000,3"],
  ["has less than its data", "600,6"],
  ["has a number missing", "600,6,1000"],
  ["is no list of numbers", "600,6,a,3"],
] as const) {
  test(`TarParser refuses a sparse map that ${what}`, () => {
    const pax: [string, string][] = [
      ["GNU.sparse.size", "1005"],
      ["GNU.sparse.name", "real"],
      ["GNU.sparse.map", map],
    ];
    assertRefused(buildTar({ name: "f", data: "middleend", pax }), "real", /sparse map/);
  });
}
