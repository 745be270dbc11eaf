/**
 * The move of an earlier release's state database, with processes of both releases that write to it and are killed at
 * random moments: whatever they said was committed is there in the end. `MSB_TEST_SEED` replays the moments of the kills,
 * though not what the machine does between them. `MSB_STATE_MOVES` makes a run longer.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { homePaths } from "../../src/platform/home.ts";
import { Database } from "../../src/state/database.ts";
import { openDatabase } from "../../src/state/open_database.ts";
import { temporaryDirectory, test } from "../support/harness.ts";
import { StateWriter, type WriterOrder } from "../support/host/state_writer.ts";
import { seededRandom } from "../support/random.ts";

const MOVES = Number(process.env["MSB_STATE_MOVES"] ?? 12);
/** A move takes some milliseconds. */
const LIFE_MS_MAX = 25;
const RELEASES: readonly WriterOrder["release"][] = ["present", "present", "present", "earlier"];

test(
  "openDatabase() loses no committed row while an old database is moved, whichever process is killed when",
  async () => {
    using directory = temporaryDirectory();
    const random = seededRandom("state move");
    let written = 0;
    for (let move = 0; move < MOVES; move++) {
      const home = join(directory.path, String(move));
      seed(home);
      const writers = await Promise.all(
        RELEASES.map((release, index) => StateWriter.start({ home, release, prefix: `${release}${index}` })),
      );
      const lines = await Promise.all(
        writers.map(async (writer) => {
          writer.begin();
          await delay(random.integer(0, LIFE_MS_MAX));
          return await writer.kill();
        }),
      );
      const said = lines.flat().filter((line) => line !== "refused");
      using database = opened(home);
      const rows = new Set(
        database.all("SELECT digest FROM image_claim").map(({ digest }) => String(digest)),
      );
      const lost = ["seed", ...said].filter((key) => !rows.has(key));
      assert.deepEqual(lost, [], `move ${move}`);
      written += said.length;
    }
    assert.ok(written > 0, "rows were written");
  },
  { timeoutMs: 120_000 },
);

function seed(home: string): void {
  const database = new Database(homePaths(home).formerState);
  database.run("INSERT INTO image_claim (digest, pid, start_time) VALUES ('seed', 1, 's')");
  database.close();
}

function opened(home: string): Database & Disposable {
  const database = openDatabase(home);
  return Object.assign(database, { [Symbol.dispose]: () => database.close() });
}
