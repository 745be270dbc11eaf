/** How a text that names an image is interpreted. @module */
import assert from "node:assert/strict";
import {
  HostPermissionsList,
  intoRootfsSource,
  MountBuilder,
  type RootfsSource,
  RootfsSourceKinds,
  StatVirtualizations,
  UnsupportedError,
  VolumeMountKinds,
} from "../../../mod.ts";
import { test } from "../../support/harness.ts";

test("intoRootfsSource() tells paths, disk images and references apart", () => {
  const expected: Readonly<Record<string, RootfsSource>> = {
    "./rootfs": { kind: "bind", path: "./rootfs" },
    "/srv/root.fs": { kind: "bind", path: "/srv/root.fs" },
    "..": { kind: "bind", path: ".." },
    "./.raw": { kind: "bind", path: "./.raw" },
    "disk.raw": { kind: "disk", path: "disk.raw", format: "raw" },
    "./DISK.QCOW2": { kind: "disk", path: "./DISK.QCOW2", format: "qcow2" },
    "alpine:3.22": { kind: "oci", reference: "alpine:3.22" },
    "no-such-archive.tar": { kind: "oci", reference: "no-such-archive.tar" },
  };
  for (const [text, source] of Object.entries(expected)) assert.deepEqual(intoRootfsSource(text), source);
  const given: RootfsSource = { kind: "disk", path: "d", format: "raw", fstype: "ext4" };
  assert.equal(intoRootfsSource(given), given);
  assert.throws(() => intoRootfsSource("./disk.vmdk"), UnsupportedError);
  const kinds = new Set(Object.values(expected).map(({ kind }) => kind));
  assert.deepEqual([...RootfsSourceKinds].sort(), [...kinds].sort());
});

test("The lists of the known SDK's names hold what the builder takes", () => {
  for (const kind of VolumeMountKinds) assert.ok(new MountBuilder()[kind]("a").build());
  const taken = (attempt: () => unknown) => {
    try {
      return attempt() !== undefined;
    } catch (error) {
      assert.ok(error instanceof UnsupportedError);
      return false;
    }
  };
  const builder = new MountBuilder().bind("a");
  assert.deepEqual(
    StatVirtualizations.filter((policy) => taken(() => builder.statVirtualization(policy))),
    ["off"],
  );
  assert.deepEqual(
    HostPermissionsList.filter((policy) => taken(() => builder.hostPermissions(policy))),
    ["mirror"],
  );
});
