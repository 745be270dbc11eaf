/** A path that is written without its `./` is taken for a reference: the error says so. @module */
import assert from "node:assert/strict";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

/** What `resolveImage()` fails with, without asking a registry. */
async function failureOf(spec: string): Promise<MicrosandboxError> {
  using home = temporaryDirectory();
  try {
    await resolveImage(spec, { home: home.path, pullPolicy: "never" });
  } catch (error) {
    assert.ok(MicrosandboxError.is(error), String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `there is an image ${spec}` });
}

for (const name of ["src", "package.json"]) {
  test(`resolveImage() suggests ./ where ${name}, given as an image, is in the working directory`, async () => {
    const error = await failureOf(name);
    const suggestion = `write "./${name}" to use what is here at that path`;
    assert.equal(error.code, "imageNotFound");
    assert.ok(error.hint?.startsWith(`${suggestion}; or `), String(error.hint));
    assert.ok(error.message.includes(suggestion) && (error.stack ?? "").includes(suggestion), error.message);
  });
}

test("resolveImage() suggests no path where there is none", async () => {
  const error = await failureOf("absent-rootfs");
  assert.equal(error.code, "imageNotFound");
  assert.doesNotMatch(error.message, /\.\//);
});
