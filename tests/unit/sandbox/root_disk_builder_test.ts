/** Root disks and images, by their builders. @module */
import assert from "node:assert/strict";
import {
  GiB,
  ImageBuilder,
  InvalidConfigError,
  KiB,
  MiB,
  RootDiskBuilder,
  SandboxBuilder,
  TiB,
  UnsupportedError,
} from "../../../mod.ts";
import { test } from "../../support/harness.ts";

test("KiB(), MiB(), GiB() and TiB() give MiB", () => {
  assert.deepEqual([KiB(2048), MiB(5), GiB(2), TiB(1)], [2, 5, 2048, 1_048_576]);
});

test("SandboxBuilder.rootDisk() takes a size or a builder; the last one counts", () => {
  const disksOf = (builder: SandboxBuilder) => {
    const { diskMiB, rootDisk } = builder.build();
    return { diskMiB, rootDisk };
  };
  const none = undefined;
  assert.deepEqual(disksOf(new SandboxBuilder("x").rootDisk(GiB(1))), { diskMiB: 1024, rootDisk: none });
  assert.deepEqual(disksOf(new SandboxBuilder("x").rootDisk((d) => d.size(128))), {
    ...{ diskMiB: 128, rootDisk: none },
  });
  assert.deepEqual(disksOf(new SandboxBuilder("x").rootDisk(64).rootDisk((d) => d.tmpfs().size(32))), {
    ...{ diskMiB: none, rootDisk: { tmpfs: true, sizeMiB: 32 } },
  });
  const image = (d: RootDiskBuilder) => d.disk("./s").format("qcow2").fstype("xfs");
  assert.deepEqual(disksOf(new SandboxBuilder("x").rootDisk(image)), {
    ...{ diskMiB: none, rootDisk: { disk: "./s", format: "qcow2", fstype: "xfs" } },
  });
});

test("SandboxBuilder.imageWith() sets the image and what is written over it", () => {
  const built = new SandboxBuilder("x")
    .rootDisk(64)
    .imageWith((i) => i.oci("alpine"))
    .build();
  assert.deepEqual([built.image, built.diskMiB], ["alpine", 64]);
  const tmpfs = new SandboxBuilder("x").imageWith((i) => i.bind("rootfs").rootDisk((d) => d.tmpfs())).build();
  assert.deepEqual([tmpfs.rootDirectory, tmpfs.rootDisk], ["rootfs", { tmpfs: true }]);
  assert.equal(new ImageBuilder().bind("/r").upperSize(99).build().diskMiB, 99);
  assert.throws(() => new ImageBuilder().disk("./d.img"), UnsupportedError);
});

test("RootDiskBuilder refuses options that the kind does not have, and what is not supported", () => {
  for (const builder of [
    new RootDiskBuilder().disk("d").size(1),
    new RootDiskBuilder().format("raw"),
    new RootDiskBuilder().tmpfs().fstype("ext4"),
  ])
    assert.throws(() => builder.build(), InvalidConfigError);
  assert.throws(() => new RootDiskBuilder().flat(), UnsupportedError);
  assert.throws(() => new RootDiskBuilder().cloneStrategy("auto"), UnsupportedError);
});
