import assert from "node:assert/strict";
import { encodeUtf8 } from "../../../../src/base/bytes.ts";
import { ImageManifestInvalidError } from "../../../../src/image/oci/errors.ts";
import { decodeImageConfig, IMAGE_CONFIG_BYTES_MAX } from "../../../../src/image/oci/image_config.ts";
import { LINE_CHARS_MAX } from "../../../../src/platform/line_queue.ts";
import { DESCRIPTOR_BYTES_MAX } from "../../../../src/snapshot/descriptor.ts";
import { test } from "../../../support/harness.ts";

/** A configuration blob with so much in it, as JSON, of what is kept. */
function withBytes(sizeBytes: number, history = ""): Uint8Array {
  const empty = Buffer.byteLength(JSON.stringify({ env: [""], labels: {}, exposedPorts: [], volumes: [] }));
  return encodeUtf8(
    JSON.stringify({
      config: { Env: ["x".repeat(sizeBytes - empty)] },
      rootfs: { diff_ids: [] },
      history: [{ comment: history }],
    }),
  );
}

test("decodeImageConfig() refuses more than the rest of a sandbox's creation takes", () => {
  assert.ok(decodeImageConfig(withBytes(IMAGE_CONFIG_BYTES_MAX), "configuration of app"));
  assert.throws(
    () => decodeImageConfig(withBytes(IMAGE_CONFIG_BYTES_MAX + 1), "configuration of app"),
    (error) =>
      error instanceof ImageManifestInvalidError &&
      /configuration of app: .* take 524289 bytes: the limit is 524288/.test(error.message) &&
      error.hint !== undefined,
  );
  // With room for what the sandbox itself adds.
  assert.ok(IMAGE_CONFIG_BYTES_MAX * 2 <= DESCRIPTOR_BYTES_MAX);
  assert.ok(IMAGE_CONFIG_BYTES_MAX * 2 <= LINE_CHARS_MAX);
});

test("decodeImageConfig() does not count what it does not keep", () => {
  assert.ok(decodeImageConfig(withBytes(1000, "h".repeat(IMAGE_CONFIG_BYTES_MAX)), "configuration"));
});
