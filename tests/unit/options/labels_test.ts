import assert from "node:assert/strict";
import { LABELS_MAX, withImageLabels } from "../../../src/options/labels.ts";
import { test } from "../../support/harness.ts";

test("withImageLabels() lets the caller's labels win over the image's", () => {
  const image = { version: "1", maintainer: "us" };
  const labels = withImageLabels({ version: "2", team: "blue" }, image);
  assert.deepEqual(labels, { version: "2", team: "blue", maintainer: "us" });
});

test("withImageLabels() leaves out labels of the image that no sandbox could have", () => {
  const longest = { ["k".repeat(128)]: "v".repeat(1024), empty: "" };
  const refused = { "": "x", ["k".repeat(129)]: "x", long: "v".repeat(1025), nul: "\0", "n\0l": "x" };
  assert.deepEqual(withImageLabels({}, { ...refused, ...longest }), longest);
});

test("withImageLabels() fills up to the most labels that there may be, and drops none of the caller's", () => {
  const make = (prefix: string, count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, ""]));
  const labels = withImageLabels({ ...make("own", LABELS_MAX - 2), image0: "mine" }, make("image", 100));
  assert.deepEqual(labels, { ...make("own", LABELS_MAX - 2), image0: "mine", image1: "" });
  const full = make("own", LABELS_MAX);
  assert.deepEqual(withImageLabels(full, make("image", 1)), full);
});
