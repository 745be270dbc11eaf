/**
 * Port of the known SDK's `replace.rs`: creating a sandbox under a name that is taken. Names are kept. Its limits of time
 * (60 s for a replacement, 120 s for anything) are the tests' own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Sandbox, SandboxAlreadyExistsError } from "../../mod.ts";
import { discard, homeTest } from "../support/vm.ts";

/** Two boots and a graceful stop; a hang is what this is about. */
const TIMEOUT_MS = 120_000;
const options = { timeoutMs: TIMEOUT_MS };

/** A second create with `.replace()` while the first handle is alive and in use completes promptly. */
homeTest(
  "replace_with_live_handle_does_not_hang",
  async ({ image }) => {
    const name = "replace-live-handle";
    const builder = () => Sandbox.builder(name).image(image).cpus(1).memory(256).replace();
    const sb1 = await builder().create();
    const sb2 = await builder().create();
    assert.notEqual(sb2.id, sb1.id);
    assert.equal((await sb2.exec("true")).code, 0);
    await discard(name);
  },
  options,
);

/** Without `.replace()` it is the typed error, at once, and the sandbox that has the name is unharmed. */
homeTest(
  "create_without_replace_returns_typed_already_exists",
  async ({ image }) => {
    const name = "replace-typed-error";
    const sb1 = await Sandbox.builder(name).image(image).cpus(1).memory(256).replace().create();
    await assert.rejects(
      Sandbox.builder(name).image(image).cpus(1).memory(256).create(),
      (error: unknown) => error instanceof SandboxAlreadyExistsError && error.code === "sandboxAlreadyExists",
    );
    assert.equal((await sb1.exec("true")).code, 0);
    await discard(name);
  },
  options,
);

/** No grace: straight to the kill. */
homeTest(
  "replace_with_grace_zero_succeeds",
  async ({ image }) => {
    const name = "replace-with-grace-zero";
    const sb1 = await Sandbox.builder(name).image(image).cpus(1).memory(256).replace().create();
    const builder = Sandbox.builder(name).image(image).cpus(1).memory(256).replaceWithGrace(0);
    const sb2 = await builder.create();
    assert.notEqual(sb2.id, sb1.id);
    assert.equal((await sb2.exec("true")).code, 0);
    await discard(name);
  },
  options,
);
