import assert from "node:assert/strict";
import { withDefaults } from "../../../../src/sandbox/manager/spec_defaults.ts";
import { test } from "../../../support/harness.ts";

/** What is set of a spec. */
function set(spec: object): object {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}

test("withDefaults() prefers what is asked for", () => {
  const defaults = { image: "alpine", cpus: 2, memoryMiB: 256 };
  assert.deepEqual(set(withDefaults(defaults, { cpus: 1, name: "x" })), { ...defaults, cpus: 1, name: "x" });
  assert.deepEqual(set(withDefaults(defaults, {})), defaults);
  assert.deepEqual(set(withDefaults(defaults, { cpus: undefined })), defaults, "nothing is asked for");
});

test("withDefaults() takes the origin from one of the two", () => {
  const image = { image: "alpine", diskMiB: 64, cpus: 2 };
  assert.deepEqual(set(withDefaults(image, { fromSnapshot: "s" })), { fromSnapshot: "s", cpus: 2 });
  assert.deepEqual(set(withDefaults(image, { image: "debian" })), { ...image, image: "debian" });
  const snapshot = { fromSnapshot: "s", cpus: 2 };
  assert.deepEqual(set(withDefaults(snapshot, { image: "debian" })), { image: "debian", cpus: 2 });
  assert.deepEqual(set(withDefaults(snapshot, { fromSnapshot: "t" })), { fromSnapshot: "t", cpus: 2 });
  assert.deepEqual(
    set(withDefaults(snapshot, { diskMiB: 64 })),
    { ...snapshot, diskMiB: 64 },
    "to be refused",
  );
});

test("withDefaults() leaves out the default root disk where another is asked for, and the origin likewise", () => {
  const defaults = { image: "alpine", rootDisk: { tmpfs: true } } as const;
  assert.deepEqual(withDefaults(defaults, { diskMiB: 64 }), { image: "alpine", diskMiB: 64 });
  assert.deepEqual(withDefaults(defaults, { rootDirectory: "/r" }), {
    ...{ rootDirectory: "/r", rootDisk: { tmpfs: true } },
  });
  assert.deepEqual(withDefaults({ rootDirectory: "/r", diskMiB: 64 }, { image: "debian" }), {
    ...{ image: "debian", diskMiB: 64 },
  });
});
