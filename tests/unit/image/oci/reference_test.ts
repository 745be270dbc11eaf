import assert from "node:assert/strict";
import { ImageReferenceInvalidError } from "../../../../src/image/oci/errors.ts";
import { formatReference, NAME_CHARACTERS_MAX, parseReference } from "../../../../src/image/oci/reference.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;

const GOOD: readonly (readonly [text: string, full: string])[] = [
  ["alpine", "docker.io/library/alpine:latest"],
  ["alpine:3.22", "docker.io/library/alpine:3.22"],
  ["team/app", "docker.io/team/app:latest"],
  ["docker.io/alpine", "docker.io/library/alpine:latest"],
  ["index.docker.io/team/app:v1", "docker.io/team/app:v1"],
  ["mirror.gcr.io/library/alpine", "mirror.gcr.io/library/alpine:latest"],
  ["localhost/app", "localhost/app:latest"],
  ["localhost:5000/team/app", "localhost:5000/team/app:latest"],
  ["localhost:5000", "docker.io/library/localhost:5000"],
  ["127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t"],
  ["[::1]:5000/app", "[::1]:5000/app:latest"],
  ["Registry/app", "Registry/app:latest"],
  [`alpine@${DIGEST}`, `docker.io/library/alpine@${DIGEST}`],
  [`localhost:5000/team/app:v1@${DIGEST}`, `localhost:5000/team/app:v1@${DIGEST}`],
  ["a__b/c--d.e_f:_x", "docker.io/a__b/c--d.e_f:_x"],
];

const BAD: readonly (readonly [text: string, part: ImageReferenceInvalidError["part"]])[] = [
  ["", "reference"],
  ["al pine", "reference"],
  ["a".repeat(2000), "reference"],
  ["https://docker.io/alpine", "registry"],
  ["-host.example/app", "registry"],
  ["host.example:0/app", "registry"],
  ["host.example:65536/app", "registry"],
  ["Alpine", "repository"],
  ["team//app", "repository"],
  ["/app", "repository"],
  ["team/", "repository"],
  ["a___b", "repository"],
  ["../escape", "registry"],
  ["team/../../etc", "repository"],
  ["0123456789abcdef".repeat(4), "repository"],
  [`${"a/".repeat(NAME_CHARACTERS_MAX / 2)}a`, "repository"],
  ["alpine:", "tag"],
  ["alpine:.x", "tag"],
  [`alpine:${"a".repeat(129)}`, "tag"],
  ["alpine@", "digest"],
  ["alpine@sha256:short", "digest"],
  [`alpine@md5:${"0".repeat(32)}`, "digest"],
  [`alpine@${DIGEST.toUpperCase()}`, "digest"],
];

test("parseReference() fills in Docker's defaults", () => {
  for (const [text, full] of GOOD) assert.equal(formatReference(parseReference(text)), full);
});

test("parseReference() names the part that is wrong", () => {
  for (const [text, part] of BAD) {
    assert.throws(
      () => parseReference(text),
      (error) => error instanceof ImageReferenceInvalidError && error.part === part,
      `${text} → ${part}`,
    );
  }
});

test("formatReference() gives text that parseReference() reads back", () => {
  for (const [text] of GOOD) {
    const reference = parseReference(text);
    assert.deepEqual(parseReference(formatReference(reference)), reference);
  }
});

test("parseReference() reads random text or refuses it with a typed error", () => {
  const random = seededRandom("parseReference");
  const pieces = [
    "a",
    "Z",
    "9",
    ".",
    "_",
    "-",
    ":",
    "/",
    "@",
    "[",
    "]",
    "sha256",
    DIGEST,
    "localhost",
    "é",
    "\0",
  ];
  for (let round = 0; round < 5000; round++) {
    const text = Array.from({ length: random.integer(0, 12) }, () => random.pick(pieces)).join("");
    try {
      const reference = parseReference(text);
      assert.deepEqual(parseReference(formatReference(reference)), reference);
      assert.ok(!reference.repository.includes(".."));
    } catch (error) {
      assert.ok(error instanceof ImageReferenceInvalidError, `${JSON.stringify(text)}: ${error}`);
    }
  }
});
