/** Builds an image with everything that layers may contain, as an OCI layout. @module */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  buildLongName,
  buildMember,
  buildTar,
  END_MARK,
  type TarBuilderMember,
} from "../../unit/image/tar/builder.ts";

export const TIME = 1_600_000_000;
const CAPABILITY = Uint8Array.from([1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

export function directory(name: string, more: Partial<TarBuilderMember> = {}): TarBuilderMember {
  return { name, type: "5", mode: 0o755, mtime: TIME, ...more };
}

export function file(name: string, data: string, more: Partial<TarBuilderMember> = {}): TarBuilderMember {
  return { name, data, mtime: TIME + 1, ...more };
}

/** Names in tars are bytes, of which the builder wants one in each character. */
export function utf8(name: string): string {
  return Buffer.from(name).toString("latin1");
}

const LONG = `long/${"n".repeat(200)}`;

/** Layers with everything that a layer may have. Directories come with a member, so that all have a time. */
export const LAYERS: readonly Buffer[] = [
  buildTar(
    directory("./"),
    directory("bin"),
    directory("etc", { mode: 0o750, uid: 5, gid: 6 }),
    file("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
    file("etc/shadow", "secret", { mode: 0o600, gid: 42 }),
    file("etc/duplicate", "first"),
    file("etc/duplicate", "the last one wins", { mode: 0o640 }),
    directory("opaque"),
    directory("opaque/sub"),
    file("opaque/old", "hidden"),
    file("opaque/sub/old", "hidden"),
    directory("gone"),
    file("gone/child", "hidden"),
    directory("tmp", { mode: 0o1777 }),
    file("bin/su", "#!", { mode: 0o4755 }),
    { name: "bin/sh", type: "2", linkName: "busybox", mtime: TIME },
    file("bin/busybox", "x".repeat(10_000), { mode: 0o755 }),
    { name: "bin/ls", type: "1", linkName: "bin/busybox", mode: 0o755, mtime: TIME + 1 },
  ),
  Buffer.concat([
    buildMember(directory("dev")),
    buildMember({ name: "dev/null", type: "3", major: 1, minor: 3, mode: 0o666, mtime: TIME }),
    buildMember({ name: "dev/sda", type: "4", major: 8, minor: 0, mode: 0o660, gid: 6, mtime: TIME }),
    buildMember({ name: "dev/pipe", type: "6", mode: 0o600, mtime: TIME }),
    buildMember(directory("long")),
    buildLongName("L", LONG),
    buildMember(file("cut", "long name")),
    buildMember(file("big-ids", "x", { uid: 2_000_000_000, gid: 3_000_000 })),
    buildMember(
      file("attributes", "x", {
        mode: 0o755,
        pax: [
          ["SCHILY.xattr.user.note", "hello"],
          ["SCHILY.xattr.security.capability", CAPABILITY],
          ["mtime", `${TIME}.123456789`],
        ],
      }),
    ),
    buildMember(directory("opaque")),
    buildMember(file("opaque/.wh..wh..opq", "")),
    buildMember(file("opaque/new", "visible")),
    buildMember(file(".wh.gone", "")),
    buildMember(directory("etc", { mode: 0o755, mtime: TIME + 7 })),
    buildMember(file("etc/.wh.shadow", "")),
    buildMember({ name: "bin/cat", type: "1", linkName: "bin/busybox", mode: 0o755, mtime: TIME + 1 }),
    END_MARK,
  ]),
  buildTar(
    directory("gone", { mode: 0o700 }),
    file("gone/again", "back"),
    directory(utf8("unicode-é"), { mode: 0o711 }),
    file(utf8("unicode-é/ü"), "x"),
    file("empty", ""),
  ),
];

/** Writes an OCI layout with one image, named `app`. */
export function writeLayout(path: string, layers: readonly Uint8Array[], config: object = {}): string {
  const blobs = join(path, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): object => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hex}`,
      size: bytes.length,
    };
  };
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
  const diffIds = layers.map((layer) => `sha256:${createHash("sha256").update(layer).digest("hex")}`);
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: put(
      json({ ...platform, config, rootfs: { type: "layers", diff_ids: diffIds } }),
      "config.v1+json",
    ),
    layers: layers.map((layer) => put(gzipSync(layer), "layer.v1.tar+gzip")),
  });
  const entry = {
    ...put(manifest, "manifest.v1+json"),
    annotations: { "org.opencontainers.image.ref.name": "app" },
  };
  writeFileSync(join(path, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(path, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return path;
}
