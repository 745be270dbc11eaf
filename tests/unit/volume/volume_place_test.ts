/** Where volumes lie, and what lies around them. @module */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Volume } from "../../../mod.ts";
import { exposesHome } from "../../../src/volume/volume_place.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

test("exposesHome() tells what a guest must not write to: the home, what holds it, and what is in it but files of volumes", async () => {
  using home = new StateHome();
  const { path } = await Volume.create({ name: "cache" });
  mkdirSync(join(path, "sub"));
  const beside = join(dirname(home.path), "home-of-another");
  mkdirSync(beside);
  for (const exposing of ["/", dirname(home.path), home.path, join(home.path, "state"), dirname(path)])
    assert.equal(exposesHome(home.path, exposing), true, exposing);
  for (const harmless of [path, join(path, "sub"), beside, "/nowhere"])
    assert.equal(exposesHome(home.path, harmless), false, harmless);
  assert.equal(exposesHome(join(home.path, "none"), "/"), false);
});
