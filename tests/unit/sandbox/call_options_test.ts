/** What a program without a compiler may pass: misspelt options, and `null`. @module */
import assert from "node:assert/strict";
import { Image, Sandbox, Snapshot } from "../../../mod.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

const given = { name: "box", image: "/nonexistent" };
const wrong = <T>(value: unknown) => value as T;
type Call = () => Promise<unknown>;

test("calls refuse an option that they do not have, and suggest the one that was meant", async () => {
  const calls: readonly (readonly [Call, RegExp])[] = [
    [() => Sandbox.create(given, wrong({ singal: 1 })), /^singal: is not known: did you mean signal\?/],
    [() => Sandbox.connectOrCreate(given, wrong({ onStp: 1 })), /did you mean onStep\?/],
    [() => Sandbox.start("box", wrong({ singal: 1 })), /did you mean signal\?/],
    [() => Sandbox.startDetached("box", wrong({ singal: 1 })), /did you mean signal\?/],
    [() => Sandbox.create(wrong({ name: "box", img: "x" })), /did you mean image\?/],
    [() => Sandbox.create(wrong({ ...given, timeout: 1 })), /did you mean maxDurationMs\?/],
    [() => Image.prune(wrong({ dryRun: true })), /^dryRun: is not known/],
    [() => Image.remove("x", wrong({ forc: true })), /did you mean force\?/],
    [() => Image.pull("x", wrong({ plaform: "x" })), /did you mean platform\?/],
    [() => Image.load("x", wrong({ tags: "x" })), /did you mean tag\?/],
    [() => Image.save("x", wrong({ output: "x" })), /did you mean outputPath\?/],
    [() => Image.list(wrong({ hom: "x" })), /did you mean home\?/],
    [() => Image.get("x", wrong({ hom: "x" })), /did you mean home\?/],
    [() => Image.inspect("x", wrong({ hom: "x" })), /did you mean home\?/],
    [() => Snapshot.create(wrong({ name: "x", sandbox: "y" })), /^sandbox: is not known/],
    [() => Snapshot.list(wrong({ label: {} })), /did you mean labels\?/],
  ];
  using _home = new StateHome();
  for (const [call, message] of calls)
    await assert.rejects(call, { code: "invalidConfig", message }, `${call}`);
});

test("calls refuse null with an error that has a code", async () => {
  const calls: readonly Call[] = [
    () => Sandbox.create(wrong(null)),
    () => Sandbox.create(wrong(undefined)),
    () => Sandbox.create(given, wrong(null)),
    () => Sandbox.connectOrCreate(wrong(null)),
    () => Sandbox.get(wrong(null)),
    () => Promise.resolve(Sandbox.list(wrong(null))),
    () => Image.list(wrong(null)),
    () => Image.load(wrong(null)),
    () => Image.save(wrong(null), { outputPath: "x" }),
    () => Image.save("x", wrong(undefined)),
    () => Snapshot.list(wrong(null)),
    () => Snapshot.create(wrong(null)),
  ];
  using _home = new StateHome();
  for (const call of calls) await assert.rejects(call, { code: "invalidConfig" }, `${call}`);
  for (const call of [
    () => Image.pull(wrong(null)),
    () => Image.get(wrong(7)),
    () => Image.remove(wrong(null)),
  ])
    await assert.rejects(call, { code: "imageReferenceInvalid", message: /must be a string/ });
});
