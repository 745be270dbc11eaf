import assert from "node:assert/strict";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../../../src/base/errors.ts";
import { restoreDiskSizes } from "../../../../src/vmm/host/restore_disk_sizes.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

test("restoreDiskSizes() makes a shorter file as long as it was, with zeros", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  writeFileSync(path, "data");
  restoreDiskSizes([{ id: "upper", path, readOnly: false, sizeBytes: 8 }]);
  assert.equal(readFileSync(path, "latin1"), "data\0\0\0\0");
});

test("restoreDiskSizes() leaves a longer file, and one whose size is not known, as they are", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  writeFileSync(path, "");
  truncateSync(path, 100);
  restoreDiskSizes([
    { id: "grown", path, readOnly: false, sizeBytes: 99 },
    { id: "image", path, readOnly: true },
  ]);
  assert.equal(statSync(path).size, 100);
});

test("restoreDiskSizes() says which disk is missing", () => {
  const path = "/nowhere/disk";
  assert.throws(
    () => restoreDiskSizes([{ id: "upper", path, readOnly: false, sizeBytes: 8 }]),
    (error: unknown) => error instanceof IoError && error.path === path && error.errno === "ENOENT",
  );
});
