/** Records of the state database that are damaged: shown, refused where they would be used, and removable. @module */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DatabaseError, Sandbox, SandboxManager } from "../../../mod.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { runCli } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

/** More than any pid that Linux gives. */
const NO_PROCESS = { pid: 2 ** 30, startTime: "1.none" };

/** A home with a sandbox that is sound, and one whose row `damage` has changed. */
function damagedHome(damage: string): StateHome {
  const home = new StateHome();
  for (const name of ["damaged", "sound"])
    home.state.transition(home.create(name, { host: NO_PROCESS }), "stopped");
  using database = new DatabaseSync(homePaths(home.path).state);
  database.exec("UPDATE sandbox SET created_at = created_at + (name = 'sound')"); // listed in this order
  database.exec(`UPDATE sandbox SET ${damage} WHERE name = 'damaged'`);
  return home;
}

for (const damage of ["config = '{\"cpus\":'", "config = '[]'", "config = ''"]) {
  test(`Sandbox.list() continues past a record with ${damage}, which can be removed but not used`, async () => {
    using home = damagedHome(damage);
    const { sandboxes } = await Sandbox.list();
    assert.deepEqual(
      sandboxes.map(({ name, status }) => [name, status]).sort(), // both may have been created in one millisecond
      [
        ["damaged", "stopped"],
        ["sound", "stopped"],
      ],
    );
    const damaged = sandboxes.find(({ name }) => name === "damaged");
    const fault = (error: unknown) =>
      error instanceof DatabaseError && /record is damaged/.test(error.message);
    assert.throws(() => damaged?.config(), fault);
    await assert.rejects(async () => await damaged?.start(), fault);
    await using manager = new SandboxManager();
    const listed = await manager.listSandboxes();
    assert.deepEqual(listed.map(({ name }) => name).sort(), ["damaged", "sound"]);
    await Sandbox.remove("damaged");
    assert.deepEqual(home.state.find("damaged"), undefined);
  });
}

test("msb ls shows a damaged record beside the others, in the table and as JSON", async () => {
  using _home = damagedHome("config = '{'");
  const { status, stdout } = await runCli(["ls"]);
  assert.equal(status, 0);
  assert.match(stdout, /^damaged\s+stopped\s+\?\s+\?\s+\?/m);
  assert.match(stdout, /^sound\s+stopped/m);
  const rows: readonly { readonly name: string }[] = JSON.parse((await runCli(["ls", "--json"])).stdout);
  assert.deepEqual(
    rows.map(({ name }) => name),
    ["damaged", "sound"],
  );
});

test("Sandbox.get() shows a status that no release writes as crashed, with what the record says", async () => {
  using home = damagedHome("status = 'frozen solid', created_at = 9000000000000000");
  const damaged = await Sandbox.get("damaged");
  assert.equal(damaged.status, "crashed");
  assert.match(damaged.statusReason ?? "", /record is damaged: .*"frozen solid"/);
  assert.equal(damaged.createdAt.toISOString(), "1970-01-01T00:00:00.000Z");
  assert.equal((await Sandbox.list()).sandboxes.length, 2);
  await damaged.remove();
  assert.equal(home.state.find("damaged"), undefined);
});

test("Sandbox.events() continues past an event whose attributes are damaged", async () => {
  using home = new StateHome();
  home.state.transition(home.create("x"), "stopped", { reason: "requested" });
  using database = new DatabaseSync(homePaths(home.path).state);
  database.exec("UPDATE event SET attributes = '{' WHERE action = 'starting'");
  const attributes: unknown[] = [];
  for await (const event of Sandbox.events()) attributes.push(event.attributes);
  assert.deepEqual(attributes, [{}, {}, { reason: "requested" }]);
});
