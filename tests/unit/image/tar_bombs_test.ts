/** Small tars that try to take much memory or time, or to block the event loop. @module */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { KiB, MiB } from "../../../src/base/bytes.ts";
import { MicrosandboxError } from "../../../src/base/errors.ts";
import { TarInvalidError } from "../../../src/image/errors.ts";
import { unpackArchive } from "../../../src/image/oci/archive.ts";
import { LayerMerger } from "../../../src/image/oci/layer_merger.ts";
import {
  GLOBAL_RECORDS_BYTES_MAX,
  GLOBAL_RECORDS_MAX,
  PAX_RECORDS_MAX,
  XATTRS_BYTES_MAX,
  XATTRS_MAX,
} from "../../../src/image/tar/pax.ts";
import { type ApplyTarOptions, applyTar } from "../../../src/image/tar_source.ts";
import { type ContentStore, createDirectory, type DirectoryNode } from "../../../src/image/tree/tree.ts";
import { TreeBudget } from "../../../src/image/tree/tree_budget.ts";
import { findNode, SYMLINK_COMPONENTS_MAX } from "../../../src/image/tree/tree_path.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import {
  buildLongName,
  buildMember,
  buildTar,
  END_MARK,
  encodePax,
  type TarBuilderMember,
} from "./tar/builder.ts";
import { contentOf } from "./trees.ts";

/** Takes empty files only. */
const emptyStore: ContentStore = {
  addFile: () => ({ write() {}, writeZeros() {}, end: () => contentOf(new Uint8Array()) }),
};

/** The parts of a tar, and its end. */
async function* streamOf(parts: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* parts;
  yield END_MARK;
}

async function apply(parts: Iterable<Uint8Array>, options: ApplyTarOptions = {}): Promise<DirectoryNode> {
  const root = createDirectory();
  await applyTar(streamOf(parts), root, emptyStore, options);
  return root;
}

function refusal(problem: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TarInvalidError && problem.test(error.problem);
}

function* numbered(count: number, member: (index: number) => Uint8Array): Generator<Uint8Array> {
  for (let index = 0; index < count; index++) yield member(index);
}

function globalHeader(records: readonly (readonly [string, string])[]): Uint8Array {
  return buildMember({ name: "g", type: "g", data: encodePax(records) });
}

for (const key of ["SCHILY.xattr.user.a", "GNU.sparse.major", "GNU.sparse.map"]) {
  test(`applyTar() refuses ${key} in a global header, which would count for every file`, async () => {
    const tar = [globalHeader([[key, "1"]]), buildMember({ name: "f" })];
    await assert.rejects(apply(tar), refusal(/a global header has/));
  });
}

test("applyTar() refuses global headers with more records or bytes than the limits", async () => {
  const keys = (count: number) => numbered(count, (index) => globalHeader([[`k${index}`, "v"]]));
  await apply(keys(GLOBAL_RECORDS_MAX));
  await assert.rejects(apply(keys(GLOBAL_RECORDS_MAX + 1)), refusal(/the global headers have more than/));
  const value = "v".repeat(GLOBAL_RECORDS_BYTES_MAX - 1);
  await apply([globalHeader([["k", value]])]);
  await assert.rejects(
    apply([globalHeader([["k", `${value}v`]])]),
    refusal(/the global headers have more than/),
  );
});

test("applyTar() refuses a member with more PAX records or attributes than the limits", async () => {
  const withPax = (pax: TarBuilderMember["pax"] & {}) => [buildMember({ name: "f", pax })];
  const record = (index: number) => [`k${index}`, ""] as const;
  await apply(withPax(Array.from({ length: PAX_RECORDS_MAX }, (_, index) => record(index))));
  const records = Array.from({ length: PAX_RECORDS_MAX + 1 }, (_, index) => record(index));
  await assert.rejects(apply(withPax(records)), refusal(/more than 65536 records/));

  const attribute = (index: number) => [`SCHILY.xattr.user.${index}`, ""] as const;
  await apply(withPax(Array.from({ length: XATTRS_MAX }, (_, index) => attribute(index))));
  const attributes = Array.from({ length: XATTRS_MAX + 1 }, (_, index) => attribute(index));
  await assert.rejects(apply(withPax(attributes)), refusal(/more than 1024 extended attributes/));

  const large = (sizeBytes: number) =>
    [["SCHILY.xattr.user.a", "v".repeat(sizeBytes - "user.a".length)]] as const;
  await apply(withPax(large(XATTRS_BYTES_MAX)));
  await assert.rejects(
    apply(withPax(large(XATTRS_BYTES_MAX + 1))),
    refusal(/more than 262144 bytes of them/),
  );
});

/** What each kind of bomb has many of. Each member is a few kilobytes, and compresses to next to nothing. */
const BOMBS: Readonly<Record<string, (index: number) => Uint8Array>> = {
  "link targets": (index) =>
    Buffer.concat([buildLongName("K", "t".repeat(4000)), buildMember({ name: `l${index}`, type: "2" })]),
  "extended attributes": (index) =>
    buildMember({ name: `f${index}`, pax: [["SCHILY.xattr.user.a", `${index}`.padEnd(60_000)]] }),
  "small extended attributes": (index) =>
    buildMember({
      name: `f${index}`,
      pax: Array.from({ length: 500 }, (_, at) => [`SCHILY.xattr.user.${index}.${at}`, ""] as const),
    }),
  "implied directories": (index) =>
    Buffer.concat([buildLongName("L", `${index}${"/d".repeat(2000)}`), buildMember({ name: "f" })]),
  "long names": (index) =>
    Buffer.concat([buildLongName("L", `${index}`.padEnd(255, "n")), buildMember({ name: "f" })]),
};

for (const [what, member] of Object.entries(BOMBS)) {
  test(`applyTar() refuses a tar whose ${what} take more memory than its budget`, async () => {
    const budget = new TreeBudget(1 * MiB);
    await assert.rejects(
      apply(numbered(5000, member), { budget }),
      refusal(/more than 1048576 bytes of memory/),
    );
  });
}

test("LayerMerger counts the memory of all layers of an image together", async () => {
  const layer = (name: string) =>
    numbered(100, (index) => BOMBS["link targets"]!(index + Number(name) * 100));
  const merger = new LayerMerger(emptyStore, new TreeBudget(1 * MiB));
  await merger.apply(streamOf(layer("0")), undefined);
  await merger.apply(streamOf(layer("1")), undefined);
  await assert.rejects(
    merger.apply(streamOf(layer("2")), undefined),
    refusal(/more than 1048576 bytes of memory/),
  );
});

test("applyTar() keeps attributes that many files share once", async () => {
  const pax = [["SCHILY.xattr.security.selinux", "s".repeat(1000)]] as const;
  const files = numbered(2000, (index) => buildMember({ name: `f${index}`, pax }));
  const root = await apply(files, { budget: new TreeBudget(1 * MiB) });
  assert.equal(findNode(root, "f0")?.xattrs, findNode(root, "f1999")?.xattrs);
  assert.equal(findNode(root, "f0")?.xattrs.get("security.selinux")?.length, 1000);
});

test("applyTar() follows no more names of symbolic links than the limit", async () => {
  const deep = (names: number) => [
    Buffer.concat([
      buildLongName("K", Array.from({ length: names }, () => "d").join("/")),
      buildMember({ name: "link", type: "2" }),
    ]),
    buildMember({ name: "link/f" }),
  ];
  const root = await apply(deep(SYMLINK_COMPONENTS_MAX));
  assert.equal(findNode(root, "link/f")?.kind, "file");
  await assert.rejects(apply(deep(SYMLINK_COMPONENTS_MAX + 1)), refusal(/lead through more than 256 names/));
});

test("applyTar() follows no more names than the limit along a chain of symbolic links", async () => {
  // Link n leads through link n - 1, and a few names more.
  const link = (index: number) =>
    buildMember({
      name: `l${index}`,
      type: "2",
      linkName: index === 0 ? "d" : `l${index - 1}${"/d".repeat(12)}`,
    });
  const chain = numbered(30, link);
  await assert.rejects(
    apply([...chain, buildMember({ name: "l29/f" })]),
    refusal(/lead through more than 256 names/),
  );
});

test("applyTar() sees its signal within one large chunk", async () => {
  const member = buildMember({ name: "d/f" });
  const chunk = Buffer.concat(Array.from({ length: 100_000 }, () => member));
  const abort = new AbortController();
  let applied = 0;
  const afterMember = (): void => {
    if (++applied === 1) setImmediate(() => abort.abort());
  };
  await assert.rejects(
    apply([chunk], { signal: abort.signal, afterMember }),
    (error) => MicrosandboxError.is(error) && error.code === "aborted",
  );
  assert.ok(applied < 100_000, `${applied} members were applied before other work ran`);
});

test("unpackArchive() refuses a link target that is longer than a path", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image.tar");
  const long = buildLongName("K", "t".repeat(64 * KiB));
  writeFileSync(path, Buffer.concat([long, buildTar({ name: "layer.tar", type: "2" })]));
  const unpacking = unpackArchive(path, directory.path, undefined, undefined);
  await assert.rejects(unpacking, refusal(/its link target has 65536 bytes/));
});
