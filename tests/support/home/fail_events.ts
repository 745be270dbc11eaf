import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";

/** From now on no event can be written in a home, until what this returns is called. */
export function failEvents(home: string): () => void {
  const raw = new DatabaseSync(homePaths(home).state);
  raw.exec("CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no space'); END");
  return () => {
    raw.exec("DROP TRIGGER full");
    raw.close();
  };
}
