/**
 * Which volumes there are. A row says what a volume is; what it holds lies in a directory of its id, and whether it is used
 * is told by locks alone.
 *
 * @module
 */
import type { ProcessIdentity } from "../platform/process_identity.ts";
import type { Database, Row } from "./database.ts";
import { optionalNumber, text, time } from "./row_fields.ts";

/** `"directory"`: files of this machine. `"disk"`: a disk with an ext4 file system and a size of its own. */
export type VolumeKind = "directory" | "disk";

/** What is known of a volume. */
export interface VolumeRow {
  readonly id: string;
  readonly name: string;
  readonly kind: VolumeKind;
  /** Size of the disk in bytes; `undefined` for a directory. */
  readonly sizeBytes: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /**
   * The process that has made it for a future sandbox: if that process is killed, the volume is removed. `undefined`: it
   * stays.
   */
  readonly maker: ProcessIdentity | undefined;
}

/** The volumes in the state database. */
export class Volumes {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Returns whether the name was free. */
  insert({ id, name, kind, sizeBytes, labels, createdAt, maker }: VolumeRow): boolean {
    return this.#database.transaction(() => {
      if (this.find(name) !== undefined) return false;
      this.#database.run(
        `INSERT INTO volume (id, name, kind, size_bytes, labels, created_at, maker_pid, maker_start_time)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        id,
        name,
        kind,
        sizeBytes ?? null,
        JSON.stringify(labels),
        createdAt.getTime(),
        maker?.pid ?? null,
        maker?.startTime ?? null,
      );
      return true;
    });
  }

  find(name: string): VolumeRow | undefined {
    return decode(this.#database.get("SELECT * FROM volume WHERE name = ?", name));
  }

  findById(id: string): VolumeRow | undefined {
    return decode(this.#database.get("SELECT * FROM volume WHERE id = ?", id));
  }

  /** All volumes, by name. */
  list(): VolumeRow[] {
    return this.#database.all("SELECT * FROM volume ORDER BY name").flatMap((row) => decode(row) ?? []);
  }

  /** Those that were made for sandboxes which have not come up. */
  unsettled(): VolumeRow[] {
    return this.#database
      .all("SELECT * FROM volume WHERE maker_pid IS NOT NULL ORDER BY name")
      .flatMap((row) => decode(row) ?? []);
  }

  /** Says that a volume stays: a sandbox has come up with it. */
  settle(id: string): void {
    this.#database.run(
      "UPDATE volume SET maker_pid = NULL, maker_start_time = NULL WHERE id = ? AND maker_pid IS NOT NULL",
      id,
    );
  }

  /** Forgets a volume. */
  remove(id: string): void {
    this.#database.run("DELETE FROM volume WHERE id = ?", id);
  }
}

function decode(row: Row | undefined): VolumeRow | undefined {
  if (row === undefined) return undefined;
  const pid = optionalNumber(row, "maker_pid");
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    kind: text(row, "kind") === "disk" ? "disk" : "directory",
    sizeBytes: optionalNumber(row, "size_bytes"),
    labels: decodeLabels(text(row, "labels")),
    createdAt: time(row, "created_at"),
    maker: pid === undefined ? undefined : { pid, startTime: text(row, "maker_start_time") },
  };
}

/** Labels that cannot be read hide no volume. */
function decodeLabels(json: string): Readonly<Record<string, string>> {
  try {
    const labels: unknown = JSON.parse(json);
    if (typeof labels !== "object" || labels === null) return {};
    return Object.fromEntries(Object.entries(labels).filter(([, value]) => typeof value === "string"));
  } catch {
    return {};
  }
}
