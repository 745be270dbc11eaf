import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { buildErofsImage } from "../../../src/image/build.ts";
import { scanDirectory } from "../../../src/image/directory_source.ts";
import { writeErofs } from "../../../src/image/erofs/writer.ts";
import { applyTar } from "../../../src/image/tar_source.ts";
import { createDirectory, type TreeNode } from "../../../src/image/tree/tree.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";
import { buildTar, type TarBuilderMember } from "./tar/builder.ts";
import { contentOf, directoryOf, fileOf, METADATA, randomTree, showImage, showTree } from "./trees.ts";

const MEMBERS: readonly TarBuilderMember[] = [
  { name: "bin/", type: "5", mode: 0o755 },
  {
    name: "bin/tool",
    data: "x".repeat(100_000),
    mode: 0o4755,
    pax: [["SCHILY.xattr.security.capability", "\x01\0\xff"]],
  },
  { name: "bin/same", type: "1", linkName: "bin/tool" },
  { name: "etc/conf", data: "text" },
  { name: "\xff", type: "2", linkName: "\xfe" },
];

const isRoot = process.getuid?.() === 0;
const canMount = isRoot && readFileSync("/proc/filesystems", "utf8").includes("\terofs\n");
const withoutMount = canMount ? undefined : "needs root and a kernel with EROFS";
const hasTar = spawnSync("tar", ["--version"]).error === undefined;
const withoutTar = hasTar ? undefined : "tar is not installed";

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

test("buildErofsImage() makes the same image of a tar, plain or compressed", async () => {
  using directory = temporaryDirectory();
  const tar = buildTar(...MEMBERS);
  const digests = new Set<string>();
  for (const [name, bytes] of Object.entries({ tar, gzip: gzipSync(tar), zstd: zstdCompressSync(tar) })) {
    const path = join(directory.path, name);
    writeFileSync(path, bytes);
    const info = await buildErofsImage({ source: { tar: path }, outputPath: `${path}.erofs` });
    assert.deepEqual([info.fileCount, info.inodeCount], [2, 6]);
    digests.add(digest(`${path}.erofs`));
  }
  assert.equal(digests.size, 1);
  const shown = showImage(join(directory.path, "zstd.erofs"));
  assert.deepEqual(Object.keys(shown), ["", "/bin", "/bin/same", "/bin/tool", "/etc", "/etc/conf", "/\xff"]);
  assert.deepEqual(shown["/bin/tool"]!.xattrs, { "security.capability": "0100ff" });
  assert.equal(shown["/bin/tool"]!.links, 2);
});

for (const [what, bytes] of [
  ["a tar that is cut short", buildTar(...MEMBERS).subarray(0, 50_000)],
  ["a gzip that is cut short", gzipSync(buildTar(...MEMBERS)).subarray(0, 100)],
  ["a zstd that is cut short", zstdCompressSync(buildTar(...MEMBERS)).subarray(0, 100)],
  ["a tar with an absolute name", buildTar(...MEMBERS, { name: "/x" })],
  ["an empty file", Buffer.alloc(0)],
] as const) {
  test(`buildErofsImage() refuses ${what}, and leaves nothing behind`, async () => {
    using directory = temporaryDirectory();
    const tar = join(directory.path, "input");
    writeFileSync(tar, bytes);
    const outputPath = join(directory.path, "image");
    await assert.rejects(buildErofsImage({ source: { tar }, outputPath }), { code: "tarInvalid" });
    assert.deepEqual(readdirSync(directory.path), ["input"]);
  });
}

test("buildErofsImage() leaves nothing behind when its signal fires on the way", async () => {
  using directory = temporaryDirectory();
  const tar = join(directory.path, "input");
  writeFileSync(
    tar,
    buildTar(...Array.from({ length: 200 }, (_, index) => ({ name: `f${index}`, data: "x".repeat(50_000) }))),
  );
  const abort = new AbortController();
  const building = buildErofsImage({
    source: { tar },
    outputPath: join(directory.path, "image"),
    signal: abort.signal,
    onProgress: () => abort.abort("enough"),
  });
  await assert.rejects(building, { code: "aborted" });
  assert.deepEqual(readdirSync(directory.path), ["input"]);
});

test("buildErofsImage() creates nothing when its signal has fired before", async () => {
  using directory = temporaryDirectory();
  const signal = AbortSignal.abort();
  const outputPath = join(directory.path, "image");
  await assert.rejects(buildErofsImage({ source: { directory: directory.path }, outputPath, signal }), {
    code: "aborted",
  });
  assert.deepEqual(readdirSync(directory.path), []);
});

test("buildErofsImage() names a missing source", async () => {
  using directory = temporaryDirectory();
  const absent = join(directory.path, "absent");
  const outputPath = join(directory.path, "image");
  await assert.rejects(buildErofsImage({ source: { tar: absent }, outputPath }), {
    code: "io",
    path: absent,
  });
  await assert.rejects(buildErofsImage({ source: { directory: absent }, outputPath }), {
    code: "io",
    path: absent,
  });
  assert.deepEqual(readdirSync(directory.path), []);
});

function makeDirectory(path: string): void {
  mkdirSync(join(path, "sub/deep"), { recursive: true });
  writeFileSync(join(path, "file"), "content");
  linkSync(join(path, "file"), join(path, "sub/link"));
  writeFileSync(join(path, "sub/large"), Buffer.alloc(300_000, "l"));
  writeFileSync(join(path, "sparse"), Buffer.concat([Buffer.alloc(1_000_000), Buffer.from("end")]));
  writeFileSync(join(path, "empty"), "");
  writeFileSync(join(path, "ünïcode"), "u");
  symlinkSync("../file", join(path, "sub/symlink"));
  symlinkSync("/etc", join(path, "to-a-directory"));
  chmodSync(join(path, "file"), 0o4750);
  chmodSync(join(path, "sub/deep"), 0o1777);
  lutimesSync(join(path, "sub/symlink"), 1000, 1234.5);
  execFileSync("mkfifo", [join(path, "fifo")]);
}

test("scanDirectory() sees what is there, follows nothing, and keeps hard links together", async () => {
  using directory = temporaryDirectory();
  const source = join(directory.path, "source");
  makeDirectory(source);
  const outputPath = join(directory.path, "image");
  await buildErofsImage({ source: { directory: source }, outputPath });
  const shown = showImage(outputPath);
  assert.deepEqual(shown, await showTree(await scanDirectory(source)));
  assert.deepEqual(shown["/file"]!.mode, 0o4750);
  assert.equal(shown["/file"]!.links, 2);
  assert.equal(shown["/sub/link"]!.inode, "/file");
  assert.equal(shown["/sub/symlink"]!.mtime, "1234.500000000");
  assert.equal(shown["/fifo"]!.type, 1);
  assert.equal(shown["/to-a-directory"]!.type, 10);
  assert.equal(shown["/sub/deep"]!.mode, 0o1777);
});

test("scanDirectory() sees sockets", async () => {
  using directory = temporaryDirectory();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(directory.path, "s"), resolve));
  const root = await scanDirectory(directory.path);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(root.entries.get("s")?.kind, "socket");
});

test("scanDirectory() stores names that are not UTF-8, or says that the runtime cannot", async () => {
  using directory = temporaryDirectory();
  const name = Buffer.from("a\xff", "latin1");
  execFileSync("sh", ["-c", `cd "$1" && : > "$(printf 'a\\377')"`, "sh", directory.path]);
  if ("Bun" in globalThis) {
    const root = await scanDirectory(directory.path);
    assert.deepEqual([...root.entries.keys()], [name.toString("latin1")]);
  } else {
    await assert.rejects(scanDirectory(directory.path), { code: "treeInvalid", problem: /not UTF-8/ });
  }
  rmSync(directory.path, { recursive: true });
});

test("scanDirectory() refuses a path that is not a directory", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "file");
  writeFileSync(file, "");
  await assert.rejects(scanDirectory(file), { code: "treeInvalid", path: file });
});

test(
  "scanDirectory() names what cannot be read",
  async () => {
    using directory = temporaryDirectory();
    const closed = join(directory.path, "closed");
    mkdirSync(closed, { mode: 0 });
    await assert.rejects(scanDirectory(directory.path), { code: "io", path: closed, errno: "EACCES" });
  },
  { skip: isRoot ? "root may read everything" : undefined },
);

test("buildErofsImage() refuses a file that changed since it was scanned", async () => {
  using directory = temporaryDirectory();
  const source = join(directory.path, "source");
  mkdirSync(source);
  const file = join(source, "file");
  writeFileSync(file, "before");
  const root = await scanDirectory(source);
  writeFileSync(file, "afterwards");
  const outputPath = join(directory.path, "image");
  await assert.rejects(writeErofs(root, outputPath), { code: "treeInvalid", path: file });
  rmSync(file);
  execFileSync("mkfifo", [file]);
  await assert.rejects(writeErofs(root, outputPath), { code: "treeInvalid", path: file });
  rmSync(file);
  symlinkSync("/etc/passwd", file);
  await assert.rejects(writeErofs(root, outputPath), { code: "io", path: file });
  assert.deepEqual(readdirSync(directory.path), ["source"]);
});

test(
  "buildErofsImage() reads what tar writes, in all of its formats",
  async () => {
    using directory = temporaryDirectory();
    const source = join(directory.path, "source");
    makeDirectory(source);
    mkdirSync(join(source, "n".repeat(200)));
    writeFileSync(join(source, "n".repeat(200), "m".repeat(200)), "long name");
    const expected = await showTree(await scanDirectory(source));
    for (const format of ["gnu", "pax"]) {
      for (const sparse of [[], ["--sparse"]]) {
        const tar = join(directory.path, "tar");
        execFileSync("tar", ["-c", `--format=${format}`, ...sparse, "-f", tar, "-C", source, "."]);
        const outputPath = join(directory.path, "image");
        await buildErofsImage({ source: { tar }, outputPath });
        const shown = showImage(outputPath);
        for (const shownTree of [shown, expected]) {
          for (const one of Object.values(shownTree)) one.mtime = one.mtime.replace(/\..*/, ""); // gnu has whole seconds
        }
        assert.deepEqual(shown, expected, `${format} ${sparse}`);
      }
    }
  },
  { skip: withoutTar },
);

/** What the kernel shows of an image, as a tree: GNU tar reads the mount, with its attributes. */
async function readByKernel(image: string, directory: string): Promise<ReturnType<typeof showTree>> {
  const mountPoint = join(directory, "mount");
  mkdirSync(mountPoint);
  execFileSync("mount", ["-t", "erofs", "-o", "loop,ro", image, mountPoint]);
  let tar: Buffer;
  try {
    const options = ["--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner"];
    tar = execFileSync("tar", ["-c", ...options, "-f", "-", "-C", mountPoint, "."], {
      maxBuffer: 2 ** 28,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } finally {
    execFileSync("umount", [mountPoint]);
  }
  const root = createDirectory();
  async function* stream(): AsyncGenerator<Uint8Array, void, undefined> {
    yield tar;
  }
  const store = {
    addFile(sizeBytes: number) {
      const chunks: Uint8Array[] = [];
      return {
        write: (bytes: Uint8Array) => void chunks.push(Buffer.from(bytes)),
        writeZeros: (count: number) => void chunks.push(new Uint8Array(count)),
        end: () => {
          const data = Buffer.concat(chunks);
          assert.equal(data.length, sizeBytes);
          return contentOf(data);
        },
      };
    },
  };
  await applyTar(stream(), root, store, { allowDevices: true });
  return await showTree(root);
}

/**
 * A random tree without what the way through the kernel and tar cannot carry: sockets, odd names of attributes, access
 * lists that are none, user's attributes of what is neither file nor directory, and the owner -1, whose files even root
 * may not open. Hard links stay.
 */
function carriable(node: TreeNode, done = new Map<TreeNode, TreeNode>()): TreeNode {
  const known = done.get(node);
  if (known) return known;
  const mayHaveUsers = node.kind === "file" || node.kind === "directory";
  const pattern = mayHaveUsers ? /^(user|trusted|security)\.[\w.]+$/ : /^(trusted|security)\.[\w.]+$/;
  const xattrs = new Map([...node.xattrs].filter(([name]) => pattern.test(name)));
  const id = (value: number): number => Math.min(value, 0xffff_fffe);
  const copy = { ...node, uid: id(node.uid), gid: id(node.gid), xattrs };
  done.set(node, copy);
  if (copy.kind === "directory") {
    const kept = [...copy.entries].filter(([, child]) => child.kind !== "socket");
    copy.entries = new Map(kept.map(([name, child]) => [name, carriable(child, done)]));
  }
  return copy;
}

test(
  "buildErofsImage() makes images in which the kernel shows the same tree",
  async () => {
    using directory = temporaryDirectory();
    const random = seededRandom("kernel");
    const root = directoryOf({
      random: carriable(randomTree(random, 150)),
      attributes: fileOf("x", {
        xattrs: new Map([
          ["user.text", Buffer.from("value")],
          ["user.long", random.bytes(5000)],
          ["trusted.t", random.bytes(10)],
          ["security.capability", Buffer.from("0100000200200000000000000000000000000000", "hex")],
        ]),
      }),
      link: { kind: "symlink", ...METADATA, mode: 0o777, target: "t".repeat(3000) },
    });
    const image = join(directory.path, "image");
    await writeErofs(root, image);
    const expected = await showTree(root);
    const shown = await readByKernel(image, directory.path);
    for (const [path, one] of Object.entries(expected)) {
      // Tar makes no hard links of pipes and devices.
      if ([1, 2, 6].includes(one.type))
        Object.assign(one, { links: shown[path]?.links, inode: shown[path]?.inode });
      assert.deepEqual(shown[path], one, path);
    }
    assert.deepEqual(Object.keys(shown), Object.keys(expected));
  },
  { skip: withoutMount ?? withoutTar },
);
