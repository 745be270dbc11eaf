/** Where volumes lie, and what lies around them. @module */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Volume } from "../../../mod.ts";
import { exposesHome } from "../../../src/volume/volume_place.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

test("exposesHome() keeps a guest out of the home and what is in it but volumes, and from writing to what holds it", async () => {
  using home = new StateHome();
  const { path } = await Volume.create({ name: "cache" });
  mkdirSync(join(path, "sub"));
  const beside = join(dirname(home.path), "home-of-another");
  mkdirSync(beside);
  for (const isReadonly of [false, true]) {
    for (const exposing of [home.path, join(home.path, "state"), join(home.path, "locks"), dirname(path)])
      assert.equal(exposesHome(home.path, exposing, isReadonly), true, exposing);
    for (const holding of ["/", dirname(home.path)])
      assert.equal(exposesHome(home.path, holding, isReadonly), !isReadonly, holding);
    for (const harmless of [path, join(path, "sub"), beside, "/nowhere"])
      assert.equal(exposesHome(home.path, harmless, isReadonly), false, harmless);
    assert.equal(exposesHome(join(home.path, "none"), "/", isReadonly), false);
  }
});
