/** formatExt4() against the oracles of e2fsprogs. @module */
import assert from "node:assert/strict";
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { GiB, KiB, MiB } from "../../../../src/base/bytes.ts";
import {
  EXT4_SIZE_BYTES_MIN,
  type Ext4Options,
  formatExt4,
  readExt4Superblock,
} from "../../../../src/image/ext4.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import {
  assertCheckedClean,
  dumpedFields,
  formatOverlayDisk,
  OVERLAY_DIRECTORIES,
  oraclesMissing,
  run,
  runSuccessfully,
  UUID,
} from "./tools.ts";

const GROUP = 128 * MiB;
const BLOCK = 4 * KiB;
const ALLOCATED_UNIT_BYTES = 512; // of st_blocks

const needsOracles = { skip: oraclesMissing, timeoutMs: 120_000 };

async function assertFormatsClean(sizeBytes: number): Promise<void> {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  try {
    const made = await formatExt4({ path, sizeBytes, uuid: UUID, directories: OVERLAY_DIRECTORIES });
    assert.equal(statSync(path).size, Math.floor(sizeBytes / BLOCK) * BLOCK);
    assert.ok(made.sizeBytes <= sizeBytes && sizeBytes - made.sizeBytes < 16 * MiB);
    assertCheckedClean(path);
  } catch (error) {
    throw new Error(`disk of ${sizeBytes} bytes`, { cause: error });
  }
}

const BOUNDARY_SIZES: Record<string, readonly number[]> = {
  "at the least size": [EXT4_SIZE_BYTES_MIN, EXT4_SIZE_BYTES_MIN + 1, EXT4_SIZE_BYTES_MIN + BLOCK],
  "around the end of a group": [
    GROUP - 1,
    GROUP,
    GROUP + 1,
    GROUP + BLOCK,
    2 * GROUP - BLOCK,
    2 * GROUP + BLOCK,
  ],
  "around the end of a flex group": [
    16 * GROUP - BLOCK,
    16 * GROUP,
    16 * GROUP + BLOCK,
    17 * GROUP,
    33 * GROUP,
  ],
  "around a second block of descriptors": [64 * GROUP, 64 * GROUP + BLOCK, 65 * GROUP],
  "with a last group that has a superblock backup": [
    2 * GROUP,
    4 * GROUP,
    10 * GROUP,
    28 * GROUP,
    50 * GROUP,
  ],
  "where the journal grows": [1 * GiB, 2 * GiB, 16 * GiB, 32 * GiB, 64 * GiB],
  "where the journal needs an extent tree": [128 * GiB, 300 * GiB],
};
for (const [name, sizes] of Object.entries(BOUNDARY_SIZES)) {
  test(
    `formatExt4() makes a disk that e2fsck finds clean ${name}`,
    async () => {
      for (const sizeBytes of sizes) await assertFormatsClean(sizeBytes);
    },
    needsOracles,
  );
}

test(
  "formatExt4() keeps a last group of any usable size, and leaves out a smaller one",
  async () => {
    // A second group of 0 to 4 MiB: somewhere between, it becomes large enough for its own inode table.
    const sizes = Array.from({ length: 17 }, (_, index) => GROUP + index * 256 * KiB);
    for (const sizeBytes of sizes) await assertFormatsClean(sizeBytes);
    using directory = temporaryDirectory();
    const tooSmall = await formatExt4({ path: join(directory.path, "without"), sizeBytes: sizes[1]! });
    const usable = await formatExt4({ path: join(directory.path, "with"), sizeBytes: sizes.at(-1)! });
    assert.equal(tooSmall.sizeBytes, GROUP);
    assert.equal(usable.sizeBytes, sizes.at(-1)!);
  },
  needsOracles,
);

test(
  "formatExt4() makes a disk that e2fsck finds clean at any size",
  async () => {
    const random = seededRandom("formatExt4() sizes");
    for (let round = 0; round < 20; round++) {
      const gibibytes = random.pick([0, 0, 1, 3, 10, 40]);
      await assertFormatsClean(EXT4_SIZE_BYTES_MIN + gibibytes * GiB + random.integer(0, GiB));
    }
  },
  needsOracles,
);

test(
  "formatExt4() makes a file system with the features, identity and policy that were asked for",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await formatExt4({ path, label: "scratch-é", uuid: UUID.toUpperCase(), timestampSeconds: 1_700_000_000 });
    const fields = dumpedFields(path);
    const expected = {
      "Filesystem volume name": "scratch-é",
      "Filesystem UUID": UUID,
      "Filesystem features":
        "has_journal ext_attr dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
      "Default mount options": "user_xattr acl",
      "Filesystem state": "clean",
      "Errors behavior": "Remount read-only",
      "Reserved block count": "0",
      "Block count": String((4 * GiB) / BLOCK),
      "Block size": "4096",
      "Inode size": "256",
      "Required extra isize": "32",
      "Flex block group size": "16",
      "Mount count": "0",
      "Maximum mount count": "-1",
      "Check interval": "0 (<none>)",
      "Filesystem created": /2023$/,
      "Journal inode": "8",
      "Journal backup": "inode blocks",
      "Total journal size": "64M",
      "Journal start": "0",
      "Journal checksum type": "crc32c",
      "Checksum type": "crc32c",
    };
    for (const [name, value] of Object.entries(expected)) {
      if (value instanceof RegExp) assert.match(fields.get(name) ?? "", value, name);
      else assert.equal(fields.get(name), value, name);
    }
  },
  needsOracles,
);

test(
  "formatExt4() makes what mke2fs makes, field by field, at sizes of every kind",
  async () => {
    using directory = temporaryDirectory();
    for (const sizeBytes of [EXT4_SIZE_BYTES_MIN, GROUP, GROUP + 5 * MiB, 3 * GiB, 10 * GiB, 130 * GiB]) {
      const path = join(directory.path, `ours-${sizeBytes}`);
      await formatExt4({ path, sizeBytes, uuid: UUID, label: "upper", timestampSeconds: 1_700_000_000 });
      const ours = dumpedFields(path);
      const theirs = dumpedFields(
        makeReferenceDisk(directory.path, sizeBytes, ours.get("Directory Hash Seed")!),
      );
      for (const name of FIELDS_OF_ONE_SIDE) {
        ours.delete(name);
        theirs.delete(name);
      }
      assert.deepEqual([...ours], [...theirs], `${sizeBytes} bytes`);
    }
  },
  needsOracles,
);

/** Times; what only mke2fs counts; and what we say of the journal that mke2fs leaves to the first mount. */
const FIELDS_OF_ONE_SIDE = [
  "Filesystem created",
  "Last write time",
  "Last checked",
  "Overhead clusters",
  "Lifetime writes",
  "Checksum",
  "Journal features",
  "Journal checksum type",
  "Journal checksum",
];

function makeReferenceDisk(directory: string, sizeBytes: number, hashSeed: string): string {
  const path = join(directory, `theirs-${sizeBytes}`);
  writeFileSync(path, "");
  truncateSync(path, sizeBytes);
  const features =
    "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
  const shape = [
    "-t",
    "ext4",
    "-T",
    "default",
    "-O",
    features,
    "-b",
    "4096",
    "-I",
    "256",
    "-i",
    "8192",
    "-m",
    "0",
  ];
  const identity = ["-U", UUID, "-L", "upper", "-e", "remount-ro"];
  const extended = `hash_seed=${hashSeed},lazy_itable_init=1,lazy_journal_init=1`;
  runSuccessfully("mke2fs", "-q", "-F", ...shape, ...identity, "-E", extended, path);
  return path;
}

test(
  "formatExt4() leaves unused groups to the kernel, and says that no inode table needs zeroing",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await formatOverlayDisk(path, 4 * GiB);
    const dump = runSuccessfully("dumpe2fs", path);
    const groups = dump.match(/^Group \d+: .*$/gm) ?? [];
    const countWith = (flag: string) => groups.filter((line) => line.includes(flag)).length;
    assert.equal(groups.length, 32);
    assert.equal(countWith("ITABLE_ZEROED"), 32);
    assert.equal(countWith("INODE_UNINIT"), 31); // all but the first
    assert.equal(countWith("BLOCK_UNINIT"), 28); // not 0 and 1 (journal), 16 (others' tables), 31 (the last)
    assert.equal(dump.match(/ 16384 unused inodes$/gm)?.length, 31);
    assert.equal(dump.match(/ 16371 unused inodes$/gm)?.length, 1);
  },
  needsOracles,
);

test(
  "formatExt4() writes backups of the superblock and descriptors that e2fsck can repair the disk from",
  async () => {
    for (const group of [1, 3, 5, 7, 9, 25, 27]) {
      using directory = temporaryDirectory();
      const path = join(directory.path, "disk");
      await formatOverlayDisk(path, 4 * GiB);
      assert.equal(readNumber16(path, group * GROUP + 0x5a), group, "names its own group");
      overwriteWithZeros(path, 0, 2 * BLOCK);
      await assert.rejects(readExt4Superblock(path), { code: "diskInvalid" });
      const { exitCode } = run("e2fsck", "-fy", "-B", "4096", "-b", String(group * 32_768), path);
      assert.equal(exitCode, 1, "repaired");
      assertCheckedClean(path);
      assert.equal((await readExt4Superblock(path)).uuid, UUID);
    }
  },
  needsOracles,
);

test(
  "formatExt4() keeps a copy of the journal's block map and size in the superblock",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await formatOverlayDisk(path, EXT4_SIZE_BYTES_MIN);
    const disk = readFileSync(path);
    const place = /located at block (\d+), offset (0x[0-9a-f]+)/.exec(
      runSuccessfully("debugfs", "-R", "imap <8>", path),
    );
    assert.ok(place !== null);
    const inode = disk.subarray(Number(place[1]) * BLOCK + Number(place[2]));
    const backup = disk.subarray(1024 + 0x10c);
    assert.deepEqual(backup.subarray(0, 60), inode.subarray(0x28, 0x28 + 60));
    assert.deepEqual([backup.readUInt32LE(60), backup.readUInt32LE(64)], [0, 4 * MiB]);
    assert.deepEqual([inode.readUInt32LE(0x6c), inode.readUInt32LE(0x4)], [0, 4 * MiB]);
  },
  needsOracles,
);

function readNumber16(path: string, offsetBytes: number): number {
  const file = openSync(path, "r");
  try {
    const bytes = new Uint8Array(2);
    readSync(file, bytes, 0, bytes.length, offsetBytes);
    return bytes[0]! | (bytes[1]! << 8);
  } finally {
    closeSync(file);
  }
}

function overwriteWithZeros(path: string, offsetBytes: number, lengthBytes: number): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, new Uint8Array(lengthBytes), 0, lengthBytes, offsetBytes);
  } finally {
    closeSync(file);
  }
}

test(
  "formatExt4() puts lost+found and the given directories into the root",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await formatOverlayDisk(path, 64 * MiB);
    const lines = runSuccessfully("debugfs", "-R", "ls -p /", path).match(/^\/\d+\/.*$/gm);
    const listing = lines?.map((line) => line.split("/")); // inode, mode, owner, group, name
    assert.deepEqual(listing, [
      ["", "2", "040755", "0", "0", ".", "", ""],
      ["", "2", "040755", "0", "0", "..", "", ""],
      ["", "11", "040700", "0", "0", "lost+found", "", ""],
      ["", "12", "040755", "0", "0", "upper", "", ""],
      ["", "13", "040700", "0", "0", "work", "", ""],
    ]);
    const lostAndFound = runSuccessfully("debugfs", "-R", "stat <11>", path);
    assert.match(lostAndFound, /Size: 16384$/m);
  },
  needsOracles,
);

test(
  "formatExt4() fills the root's one block with directories, and they are all there",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    // ".", ".." and lost+found take 44 of 4,084 bytes, and each of these 264.
    const directories = Array.from({ length: 15 }, (_, index) => ({
      path: String(index).padStart(255, "x"),
    }));
    await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, directories });
    assertCheckedClean(path);
    const listing = runSuccessfully("debugfs", "-R", "ls -p /", path);
    for (const { path: name } of directories) assert.ok(listing.includes(`/040755/0/0/${name}//`));
  },
  needsOracles,
);

test(
  "formatExt4() stamps files with seconds beyond 2038 and 2106",
  async () => {
    for (const [timestampSeconds, year] of [
      [2 ** 31, 2038],
      [2 ** 32 + 1, 2106],
      [15_032_385_535, 2446],
    ] as const) {
      using directory = temporaryDirectory();
      const path = join(directory.path, "disk");
      await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, timestampSeconds });
      const lines =
        runSuccessfully("debugfs", "-R", "stat <2>", path).match(/^ ?(a|c|m|cr)time: .*$/gm) ?? [];
      assert.equal(lines.length, 4);
      for (const line of lines) assert.ok(line.endsWith(` ${year}`), line);
    }
  },
  needsOracles,
);

test("formatExt4() takes less than 200 KiB of the host's disk for 4 GiB, and 16 MiB for 1 TiB", async () => {
  using directory = temporaryDirectory();
  for (const [sizeBytes, allocatedBytesMax] of [
    [4 * GiB, 200 * KiB],
    [1024 * GiB, 16 * MiB],
  ] as const) {
    const path = join(directory.path, `disk-${sizeBytes}`);
    await formatOverlayDisk(path, sizeBytes);
    const allocatedBytes = statSync(path).blocks * ALLOCATED_UNIT_BYTES;
    assert.ok(allocatedBytes <= allocatedBytesMax, `${allocatedBytes} bytes for ${sizeBytes}`);
    assert.ok(allocatedBytes > 0);
  }
});

test("formatExt4() gives the same bytes for the same options, and others for another UUID or label", async () => {
  using directory = temporaryDirectory();
  let count = 0;
  const bytesOf = async (options: Partial<Ext4Options>) => {
    const path = join(directory.path, String(count++));
    await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, uuid: UUID, ...options });
    return readFileSync(path);
  };
  const first = await bytesOf({});
  assert.ok(first.equals(await bytesOf({})));
  assert.ok(!first.equals(await bytesOf({ label: "other" })));
  assert.ok(!first.equals(await bytesOf({ uuid: undefined })));
});

test("formatExt4() gives each disk a UUID of its own", async () => {
  using directory = temporaryDirectory();
  const one = await formatExt4({ path: join(directory.path, "one"), sizeBytes: EXT4_SIZE_BYTES_MIN });
  const other = await formatExt4({ path: join(directory.path, "other"), sizeBytes: EXT4_SIZE_BYTES_MIN });
  assert.notEqual(one.uuid, other.uuid);
  assert.match(one.uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
