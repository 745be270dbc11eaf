/** Owners on both sides. @module */
import assert from "node:assert/strict";
import { OVERFLOW_ID, OwnerMap } from "../../../src/mount/owner_map.ts";
import type { ProviderAttributes } from "../../../src/mount/provider.ts";
import { test } from "../../support/harness.ts";

const attributes: ProviderAttributes = {
  type: "file",
  mode: 0o644,
  size: 0,
  uid: 1000,
  gid: 100,
  inode: 1n,
  accessedNs: 0n,
  modifiedNs: 0n,
  changedNs: 0n,
};

test("OwnerMap shows the host's user as the guest's, and others as nobody", () => {
  const map = new OwnerMap({ uid: 1000, gid: 100 }, { uid: 0, gid: 5 });
  const seen = (uid: number, gid: number) => {
    const { uid: user, gid: group, ...others } = map.toGuest({ ...attributes, uid, gid });
    assert.deepEqual({ ...others, uid: 0, gid: 0 }, { ...attributes, uid: 0, gid: 0 });
    return [user, group];
  };
  assert.deepEqual(seen(1000, 100), [0, 5]);
  assert.deepEqual(seen(0, 0), [OVERFLOW_ID, OVERFLOW_ID]);
  assert.deepEqual(seen(1000, 0), [0, OVERFLOW_ID]);
});

test("OwnerMap takes back only owners that it shows", () => {
  const map = new OwnerMap({ uid: 1000, gid: 100 }, { uid: 0, gid: 5 });
  assert.deepEqual(map.toHost({ uid: 0, gid: 5, mode: 1 }), { uid: 1000, gid: 100, mode: 1 });
  assert.deepEqual(map.toHost({ mode: 1 }), { uid: undefined, gid: undefined, mode: 1 });
  for (const changes of [{ uid: 1000 }, { gid: 0 }, { uid: OVERFLOW_ID }, { uid: 0, gid: 100 }])
    assert.throws(() => map.toHost(changes), { code: "EPERM" });
});
