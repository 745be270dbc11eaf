PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE event (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT,
     sandbox_id TEXT NOT NULL,
     name TEXT NOT NULL,
     action TEXT NOT NULL,
     timestamp INTEGER NOT NULL,
     attributes TEXT NOT NULL
   ) STRICT;
INSERT INTO "event" VALUES(1,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','created',1795934390211,'{}');
INSERT INTO "event" VALUES(2,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','starting',1795934390211,'{"bootNumber":1}');
INSERT INTO "event" VALUES(3,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','ready',1795934392326,'{}');
INSERT INTO "event" VALUES(4,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','running',1795934392340,'{}');
INSERT INTO "event" VALUES(5,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','stopping',1795934392505,'{"cause":"requested"}');
INSERT INTO "event" VALUES(6,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','idle',1795934392500,'{"exitCode":0}');
INSERT INTO "event" VALUES(7,'1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','stopped',1795934392656,'{"reason":"requested"}');
INSERT INTO "event" VALUES(8,'ef707203-652d-4ee6-8ea0-26c4aa8c87c0','job','created',1795934392863,'{}');
INSERT INTO "event" VALUES(9,'ef707203-652d-4ee6-8ea0-26c4aa8c87c0','job','starting',1795934392863,'{"bootNumber":1}');
INSERT INTO "event" VALUES(10,'ef707203-652d-4ee6-8ea0-26c4aa8c87c0','job','ready',1795934394347,'{}');
INSERT INTO "event" VALUES(11,'ef707203-652d-4ee6-8ea0-26c4aa8c87c0','job','stopped',1795934394358,'{"reason":"killed"}');
CREATE TABLE image_claim (
     digest TEXT NOT NULL,
     pid INTEGER NOT NULL,
     start_time TEXT NOT NULL, uses INTEGER NOT NULL DEFAULT 1,
     PRIMARY KEY (digest, pid, start_time)
   ) STRICT, WITHOUT ROWID;
CREATE TABLE label (
     sandbox_id TEXT NOT NULL REFERENCES sandbox (id) ON DELETE CASCADE,
     key TEXT NOT NULL,
     value TEXT NOT NULL,
     PRIMARY KEY (sandbox_id, key)
   ) STRICT, WITHOUT ROWID;
INSERT INTO "label" VALUES('1c8274c6-5366-4494-b4f2-8bebc2ae362d','team','blue');
CREATE TABLE lease (
     sandbox_id TEXT PRIMARY KEY,
     address INTEGER NOT NULL UNIQUE,
     device TEXT NOT NULL UNIQUE,
     network TEXT NOT NULL,
     holder_pid INTEGER NOT NULL,
     holder_start_time TEXT NOT NULL,
     is_routed INTEGER NOT NULL
   ) STRICT;
CREATE TABLE sandbox (
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
   , ready_at INTEGER, is_busy INTEGER NOT NULL DEFAULT 0, idle_at INTEGER, idle_exit_code INTEGER) STRICT;
INSERT INTO "sandbox" VALUES('1c8274c6-5366-4494-b4f2-8bebc2ae362d','web','stopped','requested',1,'{"version":1,"name":"web","image":"./rootfs","cpus":2,"memoryMiB":256,"diskMiB":4096,"env":{"STAGE":"test"},"workdir":"/tmp","user":"0:0","shell":"/bin/sh","hostname":"web-1","labels":{"team":"blue"},"bootTimeoutMs":180000,"maxDurationMs":3600000,"hangTimeoutMs":120000,"ephemeral":false,"network":{"mode":"none"},"ports":[{"hostPort":18081,"guestPort":80,"bind":"127.0.0.1","protocol":"tcp"}],"rlimits":["nofile=1024:1024"],"imageConfig":{"env":[],"labels":{}}}','sha256:a5406baef1f747422904ac0eff67d1959fba3afc37a3bad08e36695e789ab747','/tmp/msb-0-40824a5395fd/1aea7b23aaf3fb4b',29163,'242749.898d7c4d',1795934390211,1795934392656,1795934392326,0,1795934392500,0);
INSERT INTO "sandbox" VALUES('ef707203-652d-4ee6-8ea0-26c4aa8c87c0','job','stopped','killed',1,'{"version":1,"name":"job","image":"./rootfs","cpus":1,"memoryMiB":128,"diskMiB":4096,"env":{},"shell":"/bin/sh","labels":{},"bootTimeoutMs":180000,"hangTimeoutMs":120000,"ephemeral":false,"network":{"mode":"none"},"ports":[],"hostname":"job","rlimits":[],"imageConfig":{"env":[],"labels":{}}}','sha256:a5406baef1f747422904ac0eff67d1959fba3afc37a3bad08e36695e789ab747','/tmp/msb-0-40824a5395fd/8170d6cbc66f42f3',29180,'243014.898d7c4d',1795934392862,1795934394358,1795934394347,0,NULL,NULL);
CREATE INDEX label_by_key ON label (key, value);
CREATE INDEX event_by_sandbox ON event (sandbox_id, sequence);
CREATE TRIGGER event_of_use AFTER INSERT ON event WHEN NEW.action IN ('ready', 'running', 'idle') BEGIN
     UPDATE sandbox SET is_busy = NEW.action = 'running' WHERE id = NEW.sandbox_id;
     UPDATE sandbox SET ready_at = NEW.timestamp WHERE id = NEW.sandbox_id AND NEW.action = 'ready';
     UPDATE sandbox SET idle_at = NEW.timestamp, idle_exit_code = json_extract(NEW.attributes, '$.exitCode')
       WHERE id = NEW.sandbox_id AND NEW.action = 'idle';
   END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',11);
COMMIT;
PRAGMA user_version = 4;
