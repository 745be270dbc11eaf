/**
 * Port of the known SDK's `replace.rs`: creating a sandbox under a name that is taken. Names are kept, and so are its
 * limits of time: what they tell is a replacement that hangs, as one did that waited for a VM to end by itself.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Sandbox, SandboxAlreadyExistsError, type SandboxBuilder } from "../../mod.ts";
import { discard, homeTest } from "../support/vm/vm.ts";
import { within } from "../support/within.ts";

/** Until a replacement is there, the end of the old sandbox and the boot of the new one included. */
const REPLACED_TIMEOUT_MS = 60_000;
/** Until any creation is there. */
const CREATED_TIMEOUT_MS = 120_000;

function builder(name: string, image: string): SandboxBuilder {
  return Sandbox.builder(name).image(image).cpus(1).memory(256);
}

/** A second create with `.replace()` while the first handle is alive completes promptly. */
homeTest("replace_with_live_handle_does_not_hang", async ({ image }) => {
  const name = "replace-live-handle";
  const sb1 = await builder(name, image).replace().create();
  const sb2 = await within(REPLACED_TIMEOUT_MS, "the second create", () =>
    builder(name, image).replace().create(),
  );
  assert.notEqual(sb2.id, sb1.id);
  assert.equal((await sb2.exec("true")).code, 0);
  await discard(name);
});

/** Without `.replace()` it is the typed error, at once, and the sandbox that has the name is unharmed. */
homeTest("create_without_replace_returns_typed_already_exists", async ({ image }) => {
  const name = "replace-typed-error";
  const sb1 = await builder(name, image).replace().create();
  const steps: string[] = [];
  const onStep = (step: string) => void steps.push(step);
  await assert.rejects(
    builder(name, image).create({ onStep }),
    (error: unknown) => error instanceof SandboxAlreadyExistsError && error.code === "sandboxAlreadyExists",
  );
  assert.deepEqual(steps, [], "refused before anything was begun");
  assert.equal((await sb1.exec("true")).code, 0);
  await discard(name);
});

/** No grace: straight to the kill. */
homeTest("replace_with_grace_zero_succeeds", async ({ image }) => {
  const name = "replace-with-grace-zero";
  const sb1 = await builder(name, image).replace().create();
  const sb2 = await within(CREATED_TIMEOUT_MS, "the second create", () =>
    builder(name, image).replaceWithGrace(0).create(),
  );
  assert.notEqual(sb2.id, sb1.id);
  assert.equal((await sb2.exec("true")).code, 0);
  await discard(name);
});
