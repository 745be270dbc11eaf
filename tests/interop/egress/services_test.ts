/**
 * Clients of databases, caches and shells in a guest, and their real servers: protocols in which the server speaks first, or
 * which begin as something else and become TLS. Each is allowed by its name and port, and nothing else is.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { originAuthority } from "../../support/egress/origin.ts";
import { programsMissing, startGuestOf } from "../../support/egress/real_guest.ts";
import {
  postgresProblem,
  sshdProblem,
  startPostgres,
  startRedis,
  startSshd,
} from "../../support/egress/service_servers.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const MiB = 1024 * 1024;
const COPIED_BYTES = 50 * MiB;

test(
  "psql talks to PostgreSQL over TLS that begins in the middle of a connection",
  async () => {
    using directory = temporaryDirectory();
    await using postgres = await startPostgres(directory.path, "db.example");
    await using guest = await startGuestOf({ "db.example:5432": postgres.port });
    const authority = join(directory.path, "ca.pem");
    writeFileSync(authority, originAuthority.certificate);
    const psql = (options: string, script: string) =>
      guest.run(
        "psql",
        `host=db.example port=5432 user=tester dbname=postgres connect_timeout=20 ${options}`,
        ...["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", script],
      );
    const verified = `sslmode=verify-full sslrootcert=${authority}`;
    const version = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert.match(await psql(verified, version), /^TLSv1\.3$/);
    assert.equal(await psql("sslmode=disable", version), "");
    // 8 MB each way by COPY, and the sum as the server has it.
    const rows = join(directory.path, "rows");
    const copyOut = `\\copy (SELECT i, md5(i::text) FROM generate_series(1, 200000) AS i) TO '${rows}'`;
    await psql(verified, copyOut);
    assert.equal(readFileSync(rows, "utf8").split("\n").length, 200_001);
    await psql(verified, "CREATE TABLE copied (i int, sum text)");
    await psql(verified, `\\copy copied FROM '${rows}'`);
    const count = "SELECT count(*), count(*) FILTER (WHERE sum = md5(i::text)) FROM copied";
    assert.equal(await psql("sslmode=disable", count), "200000|200000");
    const other = await guest.network.run("psql", "host=db.example port=5433 user=tester connect_timeout=20");
    assert.match(other.stdout, /Connection refused/);
  },
  {
    missing: postgresProblem ?? programsMissing("psql"),
  },
);

test(
  "redis-cli asks, sends many commands at once, and hears what others publish",
  async () => {
    using directory = temporaryDirectory();
    await using redis = await startRedis(directory.path);
    await using guest = await startGuestOf({ "cache.example:6379": redis.port });
    const ask = (...words: readonly string[]) => guest.run("redis-cli", "-h", "cache.example", ...words);
    assert.equal(await ask("PING"), "PONG");
    const many = join(directory.path, "many");
    writeFileSync(
      many,
      Array.from({ length: 50_000 }, (_, index) => `SET key:${index} value:${index}\r\n`).join(""),
    );
    const piped = await guest.run("sh", "-c", `redis-cli -h cache.example --pipe < ${many}`);
    assert.match(piped, /errors: 0, replies: 50000/);
    assert.equal(await ask("DBSIZE"), "50000");
    assert.equal(await ask("GET", "key:49999"), "value:49999");
    // A value of 4 MiB each way: one reply, larger than any window.
    const value = join(directory.path, "value");
    writeFileSync(value, "v".repeat(4 * MiB));
    assert.equal(await guest.run("sh", "-c", `redis-cli -h cache.example -x SET large < ${value}`), "OK");
    assert.equal((await ask("GET", "large")).length, 4 * MiB);
    const subscriber = `
import socket
s = socket.create_connection(("cache.example", 6379), 20)
lines = s.makefile("rb")
s.sendall(b"SUBSCRIBE news\\r\\n")
got = [lines.readline() for _ in range(6)]
import subprocess
subprocess.run(["redis-cli", "-h", "cache.example", "PUBLISH", "news", "hello"], check=True, stdout=subprocess.DEVNULL)
print([lines.readline() for _ in range(7)][-1].decode().strip())`;
    assert.equal(await guest.network.python(subscriber), "hello");
  },
  { missing: programsMissing("redis-cli", "redis-server") },
);

test(
  "ssh runs programs by a server that speaks first, and scp copies 50 MiB each way",
  async () => {
    using directory = temporaryDirectory();
    const file = (name: string) => join(directory.path, name);
    await using sshd = await startSshd(directory.path, "shell.example", 2222);
    await using guest = await startGuestOf({ "shell.example:2222": sshd.port });
    const ssh = ["ssh", ...sshd.options, "-p", "2222", "root@shell.example"];
    assert.equal(await guest.run(...ssh, "echo $((6 * 7)); exit 0"), "42");
    assert.equal((await guest.network.run(...ssh, "exit 7")).code, 7);
    // Input that ends before output begins: half-close inside a channel.
    const sum = await guest.run("sh", "-c", 'head -c 3000000 /dev/zero | "$@"', "sh", ...ssh, "sha256sum");
    assert.equal(sum, `${createHash("sha256").update(new Uint8Array(3_000_000)).digest("hex")}  -`);
    const sent = randomBytes(COPIED_BYTES);
    writeFileSync(file("sent"), sent);
    const scp = ["scp", "-q", ...sshd.options, "-P", "2222"];
    await guest.run(...scp, file("sent"), `root@shell.example:${file("there")}`);
    await guest.run(...scp, `root@shell.example:${file("there")}`, file("back"));
    assert.ok(sent.equals(readFileSync(file("back"))), "what came back is not what was sent");
    await guest.egress.close(); // writes the rest of its log
    const ended = guest.entries.filter(
      ({ protocol, endedAs }) => protocol === "tcp" && endedAs !== undefined,
    );
    assert.deepEqual([...new Set(ended.map(({ name }) => name))], ["shell.example"]);
    assert.ok(ended.some(({ bytesOut }) => bytesOut >= COPIED_BYTES));
    assert.ok(ended.some(({ bytesIn }) => bytesIn >= COPIED_BYTES));
  },
  { missing: sshdProblem ?? programsMissing("ssh", "scp") },
);
