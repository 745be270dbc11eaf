/** Progress of an image that is already stored. @module */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PullProgress } from "../../../../src/image/progress.ts";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { TestRegistry } from "../../../support/oci/server.ts";
import { buildTar } from "../tar/builder.ts";
import { addApp, BASE, resolve } from "./fixture.ts";

for (const pullPolicy of ["if-missing", "always", "never"] as const) {
  test(`resolveImage() reports resolving, resolved and complete for a stored image, ${pullPolicy}`, async () => {
    await using registry = await TestRegistry.start();
    using home = temporaryDirectory();
    const digest = addApp(registry);
    const first: PullProgress[] = [];
    await resolve(registry, home, { onProgress: (event) => first.push(event) });
    const events: PullProgress[] = [];
    await resolve(registry, home, { pullPolicy, onProgress: (event) => events.push(event) });
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ["resolving", "resolved", "complete"],
    );
    const resolved = events.find((event) => event.kind === "resolved")!;
    assert.equal(resolved.manifestDigest, digest);
    assert.deepEqual(
      resolved,
      first.find((event) => event.kind === "resolved"),
    );
  });
}

test("resolveImage() reports the same for a stored image under another name", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  addApp(registry, "v1");
  addApp(registry, "v2");
  await resolve(registry, home);
  const kinds: string[] = [];
  await resolve(registry, home, { onProgress: ({ kind }) => kinds.push(kind) }, "team/app:v2");
  assert.deepEqual(kinds, ["resolving", "resolved", "complete"]);
});

test("resolveImage() reports resolving, resolved and complete for a tar, new or known", async () => {
  using home = temporaryDirectory();
  const path = join(home.path, "rootfs.tar");
  writeFileSync(path, buildTar(...BASE));
  for (const round of ["new", "known"]) {
    const events: PullProgress[] = [];
    const image = await resolveImage(path, { home: home.path, onProgress: (event) => events.push(event) });
    assert.deepEqual(
      events,
      [
        { kind: "resolving", reference: path },
        {
          kind: "resolved",
          reference: path,
          manifestDigest: image.digest,
          layerCount: 0,
          totalDownloadBytes: 0,
        },
        { kind: "complete", reference: path, layerCount: 0 },
      ],
      round,
    );
  }
});
