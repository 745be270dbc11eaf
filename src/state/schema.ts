/**
 * The tables of the state database, and the way there from each earlier version.
 *
 * @module
 */

/**
 * Statements that lead from one schema version to the next: entry n makes version n + 1. Entries are never edited, only
 * added. VM host processes of an earlier release go on writing to a newer schema, so that what a new version needs at
 * each write is done by triggers.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE sandbox (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     status TEXT NOT NULL,
     status_reason TEXT,
     boot_number INTEGER NOT NULL,
     config TEXT NOT NULL,
     image_digest TEXT NOT NULL,
     run_directory TEXT,
     host_pid INTEGER,
     host_start_time TEXT,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE label (
     sandbox_id TEXT NOT NULL REFERENCES sandbox (id) ON DELETE CASCADE,
     key TEXT NOT NULL,
     value TEXT NOT NULL,
     PRIMARY KEY (sandbox_id, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX label_by_key ON label (key, value);
   CREATE TABLE event (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT,
     sandbox_id TEXT NOT NULL,
     name TEXT NOT NULL,
     action TEXT NOT NULL,
     timestamp INTEGER NOT NULL,
     attributes TEXT NOT NULL
   ) STRICT;
   CREATE INDEX event_by_sandbox ON event (sandbox_id, sequence);
   CREATE TABLE image_claim (
     digest TEXT NOT NULL,
     pid INTEGER NOT NULL,
     start_time TEXT NOT NULL,
     PRIMARY KEY (digest, pid, start_time)
   ) STRICT, WITHOUT ROWID;`,
  // Without a reference to the sandbox: a lease may begin before it, and end after it.
  `CREATE TABLE lease (
     sandbox_id TEXT PRIMARY KEY,
     address INTEGER NOT NULL UNIQUE,
     device TEXT NOT NULL UNIQUE,
     network TEXT NOT NULL,
     holder_pid INTEGER NOT NULL,
     holder_start_time TEXT NOT NULL,
     is_routed INTEGER NOT NULL
   ) STRICT;`,
  // What has to be known of a sandbox for longer than its events are kept. By a trigger, as VM host processes of the
  // release before go on writing events.
  `ALTER TABLE sandbox ADD COLUMN ready_at INTEGER;
   ALTER TABLE sandbox ADD COLUMN is_busy INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE sandbox ADD COLUMN idle_at INTEGER;
   ALTER TABLE sandbox ADD COLUMN idle_exit_code INTEGER;
   CREATE TRIGGER event_of_use AFTER INSERT ON event WHEN NEW.action IN ('ready', 'running', 'idle') BEGIN
     UPDATE sandbox SET is_busy = NEW.action = 'running' WHERE id = NEW.sandbox_id;
     UPDATE sandbox SET ready_at = NEW.timestamp WHERE id = NEW.sandbox_id AND NEW.action = 'ready';
     UPDATE sandbox SET idle_at = NEW.timestamp, idle_exit_code = json_extract(NEW.attributes, '$.exitCode')
       WHERE id = NEW.sandbox_id AND NEW.action = 'idle';
   END;
   UPDATE sandbox SET
     ready_at = (SELECT timestamp FROM event WHERE sandbox_id = sandbox.id AND action = 'ready'
       ORDER BY sequence DESC LIMIT 1),
     is_busy = coalesce((SELECT action = 'running' FROM event WHERE sandbox_id = sandbox.id
       AND action IN ('ready', 'running', 'idle') ORDER BY sequence DESC LIMIT 1), 0),
     (idle_at, idle_exit_code) = (SELECT timestamp, json_extract(attributes, '$.exitCode') FROM event
       WHERE sandbox_id = sandbox.id AND action = 'idle' ORDER BY sequence DESC LIMIT 1);`,
  // A process may be creating several sandboxes of an image at once.
  `ALTER TABLE image_claim ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;`,
  // How many events of each sandbox are kept, and up to which number some were dropped; of all together under ''.
  `CREATE TABLE event_tally (
     sandbox_id TEXT PRIMARY KEY,
     name TEXT NOT NULL,
     kept INTEGER NOT NULL,
     dropped_to INTEGER NOT NULL DEFAULT 0
   ) STRICT, WITHOUT ROWID;
   INSERT INTO event_tally (sandbox_id, name, kept)
     SELECT sandbox_id, max(name), count(*) FROM event GROUP BY sandbox_id
     UNION ALL SELECT '', '', count(*) FROM event;
   CREATE TRIGGER event_appended AFTER INSERT ON event BEGIN
     INSERT INTO event_tally (sandbox_id, name, kept) VALUES (NEW.sandbox_id, NEW.name, 1)
       ON CONFLICT (sandbox_id) DO UPDATE SET kept = kept + 1;
     UPDATE event_tally SET kept = kept + 1 WHERE sandbox_id = '';
   END;
   CREATE TRIGGER event_dropped AFTER DELETE ON event BEGIN
     UPDATE event_tally SET kept = kept - 1, dropped_to = max(dropped_to, OLD.sequence)
       WHERE sandbox_id IN (OLD.sandbox_id, '');
     DELETE FROM event_tally WHERE sandbox_id = OLD.sandbox_id AND kept = 0;
   END;`,
  // The programs of a sandbox that outlive their clients. What a boot did not see the end of is lost with it: by a trigger,
  // as the process that notes the end of a boot may be of the release before.
  `CREATE TABLE job (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     sandbox_id TEXT NOT NULL REFERENCES sandbox (id) ON DELETE CASCADE,
     boot_number INTEGER NOT NULL,
     session_id INTEGER NOT NULL,
     name TEXT,
     command TEXT NOT NULL,
     is_tty INTEGER NOT NULL,
     status TEXT NOT NULL,
     pid INTEGER,
     started_at INTEGER NOT NULL,
     ended_at INTEGER,
     exit_code INTEGER,
     exit_signal INTEGER,
     failure TEXT,
     is_output_over INTEGER NOT NULL,
     log_start_generation INTEGER,
     log_start_offset INTEGER,
     log_end_generation INTEGER,
     log_end_offset INTEGER
   ) STRICT;
   CREATE INDEX job_by_sandbox ON job (sandbox_id, sequence);
   CREATE INDEX job_by_name ON job (sandbox_id, name, sequence);
   CREATE INDEX job_by_session ON job (sandbox_id, session_id);
   CREATE TRIGGER job_lost AFTER UPDATE OF status ON sandbox WHEN NEW.status IN ('stopped', 'crashed') BEGIN
     UPDATE job SET status = 'lost', ended_at = NEW.updated_at
       WHERE sandbox_id = NEW.id AND status IN ('starting', 'running');
   END;`,
  // Named volumes. What a volume holds is in a directory of its id.
  `CREATE TABLE volume (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     kind TEXT NOT NULL,
     size_bytes INTEGER,
     labels TEXT NOT NULL,
     created_at INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
  // Which process has made a volume for a sandbox that has not come up yet.
  `ALTER TABLE volume ADD COLUMN maker_pid INTEGER;
   ALTER TABLE volume ADD COLUMN maker_start_time TEXT;`,
];
