/** Options of a mount, by the builder. @module */
import assert from "node:assert/strict";
import { type BindMountOptions, InvalidConfigError, MountBuilder, UnsupportedError } from "../../../mod.ts";
import { test } from "../../support/harness.ts";

/** Of `MountBuilder` in npm `microsandbox` 0.6.18. */
const KNOWN_NAMES =
  "bind named namedWith tmpfs disk format fstype readonly noexec nosuid nodev size quota statVirtualization hostPermissions owner build".split(
    " ",
  );
const none = { readonly: undefined, noExec: undefined };

test("MountBuilder gives the options of each kind", () => {
  assert.deepEqual(new MountBuilder().bind("./a").owner(1, 2).readonly().build(), {
    ...{ bind: "./a", owner: { uid: 1, gid: 2 }, readonly: true, noExec: undefined },
  });
  assert.deepEqual(new MountBuilder().tmpfs().size(5).noexec().nosuid().nodev().build(), {
    ...{ tmpfs: true, sizeMiB: 5, readonly: undefined, noExec: true },
  });
  assert.deepEqual(new MountBuilder().disk("d").build(), {
    ...{ disk: "d", format: undefined, fstype: undefined, ...none },
  });
  assert.deepEqual(new MountBuilder().disk("d").format("qcow2").fstype("ext4").readonly().build(), {
    ...{ disk: "d", format: "qcow2", fstype: "ext4", readonly: true, noExec: undefined },
  });
});

test("MountBuilder refuses options that the kind does not have", () => {
  for (const builder of [
    new MountBuilder(),
    new MountBuilder().bind("a").size(1),
    new MountBuilder().bind("a").format("raw"),
    new MountBuilder().tmpfs().owner(1, 1),
    new MountBuilder().tmpfs().fstype("ext4"),
    new MountBuilder().disk("d").size(1),
    new MountBuilder().disk("d").owner(1, 1),
  ])
    assert.throws(() => builder.build(), InvalidConfigError);
});

test("MountBuilder watches a directory of this machine, and nothing else", () => {
  const { watch } = new MountBuilder().bind("./a").watch().build() as BindMountOptions;
  assert.equal(watch, true);
  assert.throws(() => new MountBuilder().tmpfs().watch().build(), { code: "invalidConfig" });
});

test("MountBuilder takes policies of the known SDK that say what is done here, and refuses the others", () => {
  const same = new MountBuilder().bind("a").statVirtualization("off").hostPermissions("mirror").build();
  assert.deepEqual(same, new MountBuilder().bind("a").build());
  const builder = new MountBuilder().bind("a");
  for (const refused of [
    () => builder.statVirtualization("strict"),
    () => builder.statVirtualization("relaxed"),
    () => builder.hostPermissions("private"),
    () => builder.quota(100),
  ])
    assert.throws(refused, UnsupportedError);
});

test("MountBuilder has every name of the known SDK's", () => {
  const names = Object.getOwnPropertyNames(MountBuilder.prototype);
  for (const name of KNOWN_NAMES) assert.ok(names.includes(name), name);
});

test("MountBuilder takes one kind only", () => {
  for (const second of ["bind", "named", "tmpfs", "disk"] as const)
    assert.throws(() => new MountBuilder().bind("a")[second]("b"), { code: "invalidConfig" });
});
