/** Snapshots of 0.8 are known by the same digest. @module */
import assert from "node:assert/strict";
import { decodeDescriptor, encodeDescriptor } from "../../../src/snapshot/descriptor.ts";
import { test } from "../../support/harness.ts";
import { sample } from "./samples.ts";

const DIGEST = "sha256:cea6c4302155a58b35a16c1a67a718a10f194d670605423315664337ed85cb08";

test("decodeDescriptor() reads a snapshot of 0.8, and encodeDescriptor() writes the same bytes", () => {
  const text = sample("snapshot.json.txt");
  const { descriptor, digest } = decodeDescriptor("ready", new TextEncoder().encode(text));
  assert.equal(digest, DIGEST);
  assert.deepEqual(
    [descriptor.name, descriptor.source.name, descriptor.image.reference, descriptor.upper.sizeBytes],
    ["ready", "web", "./rootfs", 4_294_967_296],
  );
  assert.equal(new TextDecoder().decode(encodeDescriptor(descriptor).bytes), text);
});
