import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TarInvalidError } from "../../../../src/image/errors.ts";
import { EXTENSION_BYTES_MAX } from "../../../../src/image/tar/parser.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { showXattrs } from "../trees.ts";
import { buildLongName, buildMember, buildTar, END_MARK } from "./builder.ts";
import { assertRefused, PAX_SPARSE, parse, parseOne } from "./parsing.ts";

test("TarParser reads the fields of a ustar header", () => {
  const { member, data } = parseOne(
    buildTar({ name: "a/b", data: "hello", mode: 0o104755, uid: 1000, gid: 100, mtime: 1_700_000_000 }),
  );
  assert.equal(data, "hello");
  assert.deepEqual(
    { ...member, xattrs: showXattrs(member.xattrs) },
    {
      name: "a/b",
      kind: "file",
      mode: 0o4755,
      uid: 1000,
      gid: 100,
      mtimeSeconds: 1_700_000_000,
      mtimeNanoseconds: 0,
      sizeBytes: 5,
      linkTarget: "",
      major: 0,
      minor: 0,
      xattrs: {},
    },
  );
});

test("TarParser gives the same members however the stream is cut", () => {
  const tar = Buffer.concat([
    buildMember({ name: "pax", data: "x".repeat(1000), pax: [["path", "a long path"]] }),
    buildLongName("L", "n".repeat(300)),
    buildMember({ name: "short", data: "y".repeat(513) }),
    buildMember({
      name: "s",
      data: "1\n600\n10\n".padEnd(512, "\0") + "z".repeat(10),
      pax: [
        ["GNU.sparse.major", "1"],
        ["GNU.sparse.minor", "0"],
        ["GNU.sparse.realsize", "700"],
      ],
    }),
    END_MARK,
  ]);
  const whole = parse(tar);
  assert.equal(whole.length, 3);
  assert.deepEqual(parse(tar, { step: () => 1 }), whole);
  const random = seededRandom("cuts of a tar");
  for (let round = 0; round < 50; round++) {
    assert.deepEqual(parse(tar, { step: () => random.integer(1, 1200) }), whole);
  }
});

test("TarParser joins ustar's prefix and name", () => {
  const patch = (header: Buffer): void => void header.write("some/prefix", 345);
  assert.equal(parseOne(buildTar({ name: "name", patch })).member.name, "some/prefix/name");
});

test("TarParser reads headers of the v7 format, and directories by their slash", () => {
  const patch = (header: Buffer): void => void header.fill(0, 257);
  assert.equal(parseOne(buildTar({ name: "old/", type: "\0", patch })).member.kind, "directory");
  assert.equal(parseOne(buildTar({ name: "old", type: "\0", patch })).member.kind, "file");
});

test("TarParser reads GNU's long names and link targets, which need not be UTF-8", () => {
  const name = `\xff${"n".repeat(300)}`;
  const target = `\xfe${"t".repeat(300)}`;
  const member = buildMember({ name: "cut", type: "2", linkName: "cut" });
  const tar = Buffer.concat([
    buildLongName("K", target),
    buildLongName("L", name),
    member,
    buildMember({ name: "next" }),
    END_MARK,
  ]);
  const [long, next] = parse(tar);
  assert.equal(long!.member.name, name);
  assert.equal(long!.member.linkTarget, target);
  assert.equal(next!.member.name, "next");
});

test("TarParser reads numbers in base 256", () => {
  const { member } = parseOne(buildTar({ name: "f", uid: 0xffff_fffe, gid: 0x8000_0000, mtime: -5 }));
  assert.equal(member.uid, 0xffff_fffe);
  assert.equal(member.gid, 0x8000_0000);
  assert.equal(member.mtimeSeconds, -5);
});

test("TarParser lets PAX records overrule the header, for one member", () => {
  const [first, second] = parse(
    buildTar(
      {
        name: "f",
        data: "12345",
        size: 0,
        pax: [
          ["path", "\xff path"],
          ["size", "5"],
          ["uid", "4294967295"],
          ["gid", "70000"],
          ["mtime", "-1.25"],
        ],
      },
      { name: "g", data: "" },
    ),
  );
  assert.equal(first!.data, "12345");
  const { name, uid, gid, mtimeSeconds, mtimeNanoseconds } = first!.member;
  assert.deepEqual(
    [name, uid, gid, mtimeSeconds, mtimeNanoseconds],
    ["\xff path", 4294967295, 70_000, -2, 750_000_000],
  );
  assert.deepEqual([second!.member.name, second!.member.uid, second!.member.mtimeSeconds], ["g", 0, 0]);
});

for (const [text, seconds, nanoseconds] of [
  ["0", 0, 0],
  ["1700000000.5", 1_700_000_000, 500_000_000],
  ["1.0000000019", 1, 1],
  ["-1", -1, 0],
  ["-0.000000001", -1, 999_999_999],
  ["7.", 7, 0],
] as const) {
  test(`TarParser reads the PAX time ${text}`, () => {
    const { member } = parseOne(buildTar({ name: "f", pax: [["mtime", text]] }));
    assert.equal(member.mtimeSeconds, seconds);
    assert.equal(member.mtimeNanoseconds, nanoseconds);
  });
}

test("TarParser keeps extended attributes as bytes, and only those that Linux can hold", () => {
  const capability = Buffer.from("0100000200204000000000000a00ff00", "hex");
  const { member } = parseOne(
    buildTar({
      name: "ping",
      pax: [
        ["SCHILY.xattr.security.capability", capability.toString("latin1")],
        ["SCHILY.xattr.user.empty", ""],
        ["SCHILY.xattr.user.a=b", "is cut at the first equals sign"],
        ["SCHILY.xattr.com.apple.quarantine", "means nothing here"],
      ],
    }),
  );
  assert.deepEqual(showXattrs(member.xattrs), {
    "security.capability": capability.toString("hex"),
    "user.a": Buffer.from("b=is cut at the first equals sign").toString("hex"),
    "user.empty": "",
  });
});

test("TarParser applies global PAX records to all that follow, until they are taken back", () => {
  const global = buildMember({ name: "g", type: "g", data: "12 uid=1234\n" });
  const undo = buildMember({ name: "g", type: "g", data: "7 uid=\n" });
  const one = buildMember({ name: "one" });
  const two = buildMember({ name: "two", pax: [["uid", "5"]] });
  const members = parse(Buffer.concat([global, one, two, undo, one, END_MARK]));
  assert.deepEqual(
    members.map(({ member }) => member.uid),
    [1234, 5, 0],
  );
});

test("TarParser expects no data of links and directories, whatever size they state", () => {
  const [link, file] = parse(
    buildTar({ name: "l", type: "1", linkName: "x", size: 5000 }, { name: "f", data: "data" }),
  );
  assert.equal(link!.member.kind, "hardlink");
  assert.equal(file!.data, "data");
});

test("TarParser refuses a header with a wrong checksum", () => {
  assertRefused(buildTar({ name: "first" }, { name: "bad", checksum: 1 }), "bad", /checksum/);
});

test("TarParser names the member before an invalid header", () => {
  const tar = Buffer.concat([buildMember({ name: "liar", data: "x".repeat(2000), size: 600 }), END_MARK]);
  assertRefused(tar, "liar", /checksum/);
});

test("TarParser refuses bytes that are not a tar", () => {
  assertRefused(Buffer.from("no tar ".repeat(100)), undefined, /checksum/);
});

test("TarParser refuses a stream that ends anywhere before its mark", () => {
  const tar = buildTar(
    { name: "one", data: "1".repeat(700) },
    { name: "two", data: "2".repeat(700), pax: [["uid", "1"]] },
  );
  const markStart = tar.length - END_MARK.length;
  for (let end = 0; end <= markStart; end += 100) {
    assert.throws(() => parse(tar.subarray(0, end)), { code: "tarInvalid" }, `cut at ${end}`);
  }
});

test("TarParser names the member that is cut short", () => {
  assertRefused(buildMember({ name: "cut", data: "x".repeat(5000) }).subarray(0, 3000), "cut", /ends within/);
});

test("TarParser accepts a tar without its end mark on request", () => {
  assert.equal(parse(buildMember({ name: "f" }), { requireEnd: false }).length, 1);
  assert.equal(parse(new Uint8Array(0), { requireEnd: false }).length, 0);
});

test("TarParser ignores what follows the end", () => {
  assert.equal(parse(Buffer.concat([buildTar({ name: "f" }), Buffer.from("rubbish")])).length, 1);
});

test("TarParser refuses sizes, owners and types that make no sense", () => {
  assertRefused(buildTar({ name: "f", size: -1 }), "f", /size/);
  assertRefused(buildTar({ name: "f", pax: [["size", "1e3"]] }), "f", /size/);
  assertRefused(buildTar({ name: "f", pax: [["uid", "4294967296"]] }), "f", /uid/);
  assertRefused(buildTar({ name: "f", uid: -1 }), "f", /uid/);
  assertRefused(buildTar({ name: "f", type: "M" }), "f", /type "M"/);
  assertRefused(buildTar({ name: "f", patch: (header) => void header.write("9zz", 124) }), "f", /size/);
  assertRefused(buildTar({ name: "f", pax: [["mtime", "yesterday"]] }), "f", /mtime/);
});

test("TarParser refuses PAX headers that are damaged, without looping", () => {
  for (const data of [
    "x",
    "0 a=b\n",
    "-8 a=bcd\n",
    "99 a=b\n",
    "6 abc\n",
    "6 a=b ",
    "999999999999 a=b\n",
    "5 =\n",
  ]) {
    const tar = Buffer.concat([
      buildMember({ name: "p", type: "x", data }),
      buildMember({ name: "f" }),
      END_MARK,
    ]);
    assert.throws(() => parse(tar), { code: "tarInvalid" }, JSON.stringify(data));
  }
});

test("TarParser refuses an extended header over the limit before it has arrived", () => {
  assertRefused(buildMember({ name: "p", type: "x", size: EXTENSION_BYTES_MAX + 1 }), "p", /limit/);
});

test("TarParser refuses a long name with a NUL in it", () => {
  const tar = Buffer.concat([buildLongName("L", "a\0b"), buildMember({ name: "f" }), END_MARK]);
  assert.throws(() => parse(tar), { code: "tarInvalid", problem: "its name has a NUL" });
});

test("TarParser never fails but with TarInvalidError, whatever is damaged", () => {
  const random = seededRandom("damaged tars");
  const whole = Buffer.concat([
    buildLongName("L", "n".repeat(120)),
    buildMember({
      name: "a",
      data: "a".repeat(600),
      pax: [
        ["mtime", "1.5"],
        ["SCHILY.xattr.user.x", "y"],
      ],
    }),
    buildMember({ name: "s", data: PAX_SPARSE["1.0"]!.data, pax: PAX_SPARSE["1.0"]!.pax }),
    END_MARK,
  ]);
  for (let round = 0; round < 2000; round++) {
    const tar = Buffer.from(whole);
    for (let count = random.integer(1, 4); count > 0; count--)
      tar[random.integer(0, tar.length - 1)] = random.integer(0, 255);
    fixChecksums(tar);
    try {
      parse(tar.subarray(0, random.integer(0, tar.length)));
    } catch (error) {
      assert.ok(error instanceof TarInvalidError, `${error}`);
    }
  }
});

/** So that damage reaches what lies behind the checksum. */
function fixChecksums(tar: Buffer): void {
  for (let at = 0; at + 512 <= tar.length; at += 512) {
    const header = tar.subarray(at, at + 512);
    if (header.toString("latin1", 257, 262) !== "ustar") continue;
    header.write("        ", 148);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0")}\0 `,
      148,
    );
  }
}
