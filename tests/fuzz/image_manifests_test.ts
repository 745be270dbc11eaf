/**
 * Damaged and hostile layouts and archives: each ends in an image or a typed error, and leaves a clean store.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MicrosandboxError } from "../../src/base/errors.ts";
import { resolveImage } from "../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { buildTar } from "../unit/image/tar/builder.ts";

const ROUNDS = 500;
const LAYER = buildTar({ name: "file", data: "x" });
const ARCHITECTURE = process.arch === "x64" ? "amd64" : process.arch;
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  "",
  "x",
  "../../../etc/passwd",
  "sha256:../../../../etc/passwd",
  `sha256:${"0".repeat(64)}`,
  [],
  {},
  [[]],
  { __proto__: { polluted: 1 } },
  "\0",
  "x".repeat(10_000),
];

/** The value with some places in it, chosen at random, put wrong. */
function damage(value: unknown, random: SeededRandom, chance: number): unknown {
  if (random.integer(0, chance) === 0) return random.pick(VALUES);
  if (Array.isArray(value)) {
    const items = value.map((item) => damage(item, random, chance));
    return random.integer(0, chance) === 0 ? [...items, ...items] : items;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, damage(item, random, chance)] as const);
  return Object.fromEntries(entries.filter(() => random.integer(0, chance * 2) !== 0));
}

function encode(value: unknown, random: SeededRandom): Uint8Array {
  const bytes = new TextEncoder().encode(JSON.stringify(value) ?? "");
  if (random.integer(0, 9) === 0 && bytes.length > 0)
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
  return random.integer(0, 14) === 0 ? bytes.subarray(0, random.integer(0, bytes.length)) : bytes;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The files of a layout in which any document may be damaged, though its digest is right. */
function randomFiles(random: SeededRandom): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([["oci-layout", new TextEncoder().encode("{}")]]);
  const chance = random.pick([8, 20, 60, 1000]);
  const put = (bytes: Uint8Array, mediaType: string): object => {
    const digest = digestOf(bytes);
    files.set(`blobs/${digest.replace(":", "/")}`, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const config = encode(
    damage(
      {
        os: "linux",
        architecture: ARCHITECTURE,
        config: { Cmd: ["sh"], Env: ["A=b"], Labels: { a: "b" } },
        rootfs: { type: "layers", diff_ids: [digestOf(LAYER)] },
      },
      random,
      chance,
    ),
    random,
  );
  const configDescriptor = put(config, "application/vnd.oci.image.config.v1+json");
  const layer = put(LAYER, "application/vnd.oci.image.layer.v1.tar");
  const manifest = damage({ schemaVersion: 2, config: configDescriptor, layers: [layer] }, random, chance);
  const entry = put(encode(manifest, random), "application/vnd.oci.image.manifest.v1+json");
  files.set("index.json", encode(damage({ schemaVersion: 2, manifests: [entry] }, random, chance), random));
  if (random.integer(0, 1) === 0) {
    const name = (descriptor: object): string =>
      `blobs/${String("digest" in descriptor && descriptor.digest).replace(":", "/")}`;
    const docker = [{ Config: name(configDescriptor), RepoTags: ["a:b"], Layers: [name(layer)] }];
    files.set("manifest.json", encode(damage(docker, random, chance), random));
    if (random.integer(0, 1) === 0) files.delete("oci-layout");
  }
  return files;
}

function writeLayout(path: string, files: ReadonlyMap<string, Uint8Array>): void {
  mkdirSync(join(path, "blobs", "sha256"), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(path, name), bytes);
}

test(
  "resolveImage() ends every damaged or hostile layout with an image or a typed error",
  async () => {
    const random = seededRandom("image manifests");
    using home = temporaryDirectory();
    const outcomes = { image: 0, error: 0 };
    const source = join(home.path, "source");
    for (let round = 0; round < ROUNDS; round++) {
      const files = randomFiles(random);
      rmSync(source, { recursive: true, force: true });
      const isArchive = random.integer(0, 1) === 0;
      if (isArchive) {
        const members = [...files].map(([name, data]) => ({ name, data }));
        writeFileSync(source, buildTar(...members));
      } else {
        writeLayout(source, files);
      }
      try {
        await resolveImage(source, { home: join(home.path, "home") });
        outcomes.image++;
      } catch (error) {
        if (!MicrosandboxError.is(error) || error.code === "internal") {
          throw new Error(`round ${round} of seed ${random.seed}`, { cause: error });
        }
        outcomes.error++;
      }
      assert.deepEqual(readdirSync(home.path).sort(), ["home", "source"]);
      const work = join(home.path, "home", "cache", "work");
      assert.deepEqual(existsSync(work) ? readdirSync(work) : [], []);
    }
    assert.equal("polluted" in {}, false);
    assert.ok(outcomes.image > ROUNDS / 50 && outcomes.error > ROUNDS / 4, JSON.stringify(outcomes));
  },
  { timeoutMs: 180_000 },
);
