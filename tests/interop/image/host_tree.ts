/**
 * What a directory of the host shows, in the words in which `showImage()` tells what an image shows.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { run } from "./tools.ts";

/** What is compared of each name. */
export interface ShownFile {
  type: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: string;
  links: number;
  size: number;
  data: string;
  device: string;
  xattrs: Record<string, string>;
}

/** All names below `root`, itself included as `""`. */
export async function showHostTree(root: string): Promise<Record<string, ShownFile>> {
  const xattrs = await readXattrs(root);
  const times = await readTimes(root);
  const shown: Record<string, ShownFile> = {};
  const visit = (path: string): void => {
    const full = join(root, path);
    const stats = lstatSync(full, { bigint: true });
    const mtime = times.get(path) ?? "";
    shown[path] = { ...showStats(full, stats), mtime, xattrs: xattrs.get(full) ?? {} };
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(full)) visit(`${path}/${name}`);
  };
  visit("");
  return shown;
}

function showStats(path: string, stats: BigIntStats): Omit<ShownFile, "xattrs" | "mtime"> {
  const type = Number(stats.mode >> 12n);
  const data = stats.isFile()
    ? readFileSync(path)
    : stats.isSymbolicLink()
      ? readlinkSync(path, { encoding: "buffer" })
      : Buffer.alloc(0);
  const device = Number(stats.rdev);
  return {
    type,
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    links: Number(stats.nlink),
    size: data.length,
    data: createHash("sha256").update(data).digest("hex"),
    device:
      stats.isBlockDevice() || stats.isCharacterDevice()
        ? `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`
        : "",
  };
}

/** By path below the root. Not every runtime tells nanoseconds; `find` does, with a digit more. */
async function readTimes(root: string): Promise<Map<string, string>> {
  const output = await run("find", [root, "-printf", "%P\\0%T@\\n"]);
  const lines = output.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [path = "", time = ""] = line.split("\0");
      const [seconds = "", fraction = ""] = time.split(".");
      return [path === "" ? "" : `/${path}`, `${seconds}.${Number(fraction.slice(0, 9))}`];
    }),
  );
}

/** By path. `getfattr` prints a block for each file that has some. */
async function readXattrs(root: string): Promise<Map<string, Record<string, string>>> {
  const output = await run("getfattr", [
    "-R",
    "-P",
    "-h",
    "-d",
    "-m",
    "-",
    "-e",
    "hex",
    "--absolute-names",
    root,
  ]);
  const found = new Map<string, Record<string, string>>();
  for (const block of output.split("\n\n")) {
    const [head, ...lines] = block.split("\n").filter((line) => line !== "");
    if (head === undefined) continue;
    const attributes: Record<string, string> = {};
    for (const line of lines) {
      const [name, value = ""] = line.split("=");
      if (name !== undefined) attributes[name] = value.replace(/^0x/, "");
    }
    found.set(head.replace(/^# file: /, ""), attributes);
  }
  return found;
}
