import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { runtimeCommand } from "../../../../src/platform/runtime.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { TestRegistry } from "../../../support/oci/server.ts";
import { buildTar } from "../tar/builder.ts";

const SCRIPT = new URL("../../../support/oci/pull_image.ts", import.meta.url);
const LAYER = buildTar({ name: "file", data: new Uint8Array(100_000) });

function startPull(home: string, reference: string): ChildProcess {
  const { file, args } = runtimeCommand(SCRIPT);
  const kept = args.filter((argument) => argument !== "--no-config"); // the tests' own imports need it
  return spawn(file, [...kept, home, reference], { stdio: ["ignore", "pipe", "inherit"] });
}

async function outputOf(child: ChildProcess): Promise<string> {
  const parts: Buffer[] = [];
  child.stdout?.on("data", (part: Buffer) => parts.push(part));
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  return Buffer.concat(parts).toString().trim();
}

test("resolveImage() in several processes at once downloads each blob in one of them", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = registry.addImage({ layers: [LAYER, buildTar({ name: "other" })] }, "v1");
  const pulls = Array.from({ length: 4 }, () => outputOf(startPull(home.path, `${registry.host}/app:v1`)));
  assert.deepEqual(await Promise.all(pulls), [digest, digest, digest, digest]);
  const blobs = registry.requests.map(({ path }) => path).filter((path) => path.includes("/blobs/"));
  assert.equal(blobs.length, new Set(blobs).size);
  assert.equal(blobs.length, 3);
});

test("resolveImage() removes leftovers of a killed process, and pulls the image", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = registry.addImage({ layers: [LAYER] }, "v1");
  registry.faults.push({ path: "/blobs/", hang: true });
  const asked = Promise.withResolvers<void>();
  registry.gate = ({ path }) => {
    if (path.includes("/blobs/")) asked.resolve(); // by now the child has a directory for the blob
    return undefined;
  };
  const child = startPull(home.path, `${registry.host}/app:v1`);
  await asked.promise;
  child.kill("SIGKILL");
  await once(child, "close");
  const work = join(home.path, "cache", "work");
  assert.notEqual(readdirSync(work).length, 0);

  const other = registry.addImage({ layers: [buildTar({ name: "other" })] }, "v2");
  const registryOptions = { auth: { kind: "anonymous" } } as const;
  const options = { home: home.path, registry: registryOptions };
  assert.equal((await resolveImage(`${registry.host}/app:v2`, options)).digest, other);
  assert.deepEqual(readdirSync(work), [], "work on any image removes what was left of all");
  assert.equal((await resolveImage(`${registry.host}/app:v1`, options)).digest, digest);
});
