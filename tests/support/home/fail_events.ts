/** A state database that cannot be written, as on a full disk. @module */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** From now on no event can be written in a home, until what this returns is called. */
export function failEvents(home: string): () => void {
  const raw = new DatabaseSync(join(home, "registry.sqlite"));
  raw.exec("CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no space'); END");
  return () => {
    raw.exec("DROP TRIGGER full");
    raw.close();
  };
}
