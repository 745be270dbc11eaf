/**
 * An image of 200,000 files and 4 GB, made as a stream: its tars are never whole, not in memory and not on the disk.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createGzip } from "node:zlib";
import type { TestRegistry } from "../../tests/support/oci/server.ts";
import { buildMember, END_MARK, type TarBuilderMember } from "../../tests/unit/image/tar/builder.ts";

/** Regular files that the image has in the end. */
const FILE_COUNT = 200_000;
/** Least sum of their sizes, in bytes. */
export const FILES_BYTES_MIN = 4e9;
const LAYER_COUNT = 8;
const FILES_PER_DIRECTORY = 50;
const DIRECTORIES_PER_GROUP = 40;
/** Every so many files, one has an attribute, a second name, a link, or was in the layer before. */
const ATTRIBUTE_EVERY = 500;
const LINK_EVERY = 20;
const REPLACED_EVERY = 100;
/** The files' sizes in turn: as in `/usr`, most are small. Their mean is 20,545 bytes. */
const SIZES_BYTES = [
  120, 480, 900, 1700, 2600, 3300, 4100, 5200, 6800, 8000, 9700, 11_000, 13_000, 16_000, 20_000, 25_000,
  33_000, 48_000, 72_000, 130_000,
] as const;
/** Data repeats with this period, so that 4 GB of it compress to a few megabytes. */
const PERIOD_BYTES = 997;
/** No zeros: a hole would not be stored. */
const DATA = Buffer.alloc(
  Math.max(...SIZES_BYTES),
  Uint8Array.from({ length: PERIOD_BYTES }, (_, at) => 1 + ((at * at + 7 * at) % 255)),
);

/** Puts the image into `registry`. */
export async function addLargeImage(registry: TestRegistry, tag: string): Promise<void> {
  const layers: { mediaType: string; digest: string; size: number }[] = [];
  const diffIds: string[] = [];
  for (let layer = 0; layer < LAYER_COUNT; layer++) {
    const { compressed, diffId } = await compress(layerMembers(layer));
    const digest = registry.addBlob(compressed);
    layers.push({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest,
      size: compressed.length,
    });
    diffIds.push(diffId);
  }
  const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
  const config = Buffer.from(
    JSON.stringify({ ...platform, config: {}, rootfs: { type: "layers", diff_ids: diffIds } }),
  );
  const mediaType = "application/vnd.oci.image.config.v1+json";
  registry.addManifest(
    {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType, digest: registry.addBlob(config), size: config.length },
      layers,
    },
    tag,
  );
}

/** The members of one layer. */
function* layerMembers(layer: number): Iterable<TarBuilderMember> {
  const perLayer = FILE_COUNT / LAYER_COUNT;
  const from = layer * perLayer;
  for (let index = from; index < from + perLayer; index++) {
    if (index % FILES_PER_DIRECTORY === 0)
      yield { name: directoryOf(index), type: "5", mode: 0o755, mtime: 1 };
    yield file(index, index % ATTRIBUTE_EVERY === 0);
    if (index % LINK_EVERY === 0) yield { name: `${nameOf(index)}.link`, type: "1", linkName: nameOf(index) };
    if (index % LINK_EVERY === 1)
      yield { name: `${nameOf(index)}.so`, type: "2", linkName: "../common/target.so.1" };
    if (layer > 0 && index % REPLACED_EVERY === 0) yield file(index - perLayer, false);
  }
}

function file(index: number, hasAttribute: boolean): TarBuilderMember {
  const data = DATA.subarray(0, SIZES_BYTES[index % SIZES_BYTES.length]);
  const common = {
    name: nameOf(index),
    data,
    mode: 0o644,
    uid: index % 3,
    gid: index % 5,
    mtime: 1e9 + index,
  };
  return hasAttribute ? { ...common, pax: [["SCHILY.xattr.user.origin", "a large image"]] } : common;
}

function directoryOf(index: number): string {
  const directory = Math.floor(index / FILES_PER_DIRECTORY);
  return `usr/share/group-${Math.floor(directory / DIRECTORIES_PER_GROUP)}/package-${directory}`;
}

function nameOf(index: number): string {
  return `${directoryOf(index)}/some-file-of-the-package-${index}.dat`;
}

/** Packs members into a tar and that with gzip. */
async function compress(
  members: Iterable<TarBuilderMember>,
): Promise<{ compressed: Buffer; diffId: string }> {
  const hash = createHash("sha256");
  const gzip = createGzip({ level: 1 });
  const parts: Buffer[] = [];
  gzip.on("data", (part: Buffer) => parts.push(part));
  const ended = new Promise((resolve, reject) => gzip.once("end", resolve).once("error", reject));
  const write = async (bytes: Uint8Array): Promise<void> => {
    hash.update(bytes);
    if (!gzip.write(bytes)) await new Promise((resolve) => gzip.once("drain", resolve));
  };
  for (const member of members) await write(buildMember(member));
  await write(END_MARK);
  gzip.end();
  await ended;
  return { compressed: Buffer.concat(parts), diffId: `sha256:${hash.digest("hex")}` };
}
