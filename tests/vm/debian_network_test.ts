/**
 * Programs of Debian in a real guest, against real servers on the host's loopback that its rules name: 100 s under emulation.
 * `MSB_DEBIAN_IMAGE` names the directory that this makes:
 *
 *     debootstrap --variant=minbase --include=curl,git,python3,openssh-client,postgresql-client,redis-tools,dnsutils,ca-certificates \
 *       bookworm DIRECTORY
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gitOrigin } from "../support/egress/git_server.ts";
import { httpOrigin, originAuthority } from "../support/egress/origin.ts";
import { filesBelow, makeDebianRepository } from "../support/egress/package_servers.ts";
import { programsMissing } from "../support/egress/real_guest.ts";
import {
  postgresProblem,
  sshdProblem,
  sshOptions,
  startHttpServers,
  startPostgres,
  startRedis,
  startSshd,
} from "../support/egress/service_servers.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { homeTest } from "../support/vm/vm.ts";

const IMAGE = process.env["MSB_DEBIAN_IMAGE"];
const HOST = "host.microsandbox.internal";
const MiB = 1024 * 1024;
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

homeTest(
  "Debian's programs reach the services of the host that are allowed, and no others",
  async ({ create, scratch }) => {
    const path = (name: string) => join(scratch, name);
    for (const name of ["redis", "ssh", "git", "debian"]) mkdirSync(path(name), { mode: 0o755 });
    using forPostgres = temporaryDirectory(); // its user cannot look into ours
    await using postgres = await startPostgres(forPostgres.path, HOST);
    await using redis = await startRedis(path("redis"));
    await using sshd = await startSshd(path("ssh"), HOST);
    await using git = await gitOrigin(path("git"), HOST);
    await using servers = await startHttpServers();
    makeDebianRepository(path("debian"));
    await using debian = await httpOrigin(filesBelow(path("debian")));
    writeFileSync(path("ca.pem"), originAuthority.certificate);
    const ports = [postgres, redis, sshd, git, debian].map(({ port }) => port);
    const sandbox = await create({
      image: IMAGE ?? "",
      memoryMiB: 768,
      network: {
        mode: "user",
        allow: [...ports, servers.http, servers.tcp].map((port) => `${HOST}:${port}`),
        tls: { interceptedPorts: [git.port], upstreamCaCertPaths: [path("ca.pem")] },
      },
    });
    const run = async (script: string) => {
      const started = performance.now();
      const output = await sandbox.shell(`exec 2>&1; ${script}`);
      console.log(
        `${Math.round(performance.now() - started)} ms: ${script.slice(0, 100).replaceAll("\n", " ")}`,
      );
      assert.equal(output.code, 0, `${script}\n${output.stdout()}`);
      return output.stdout().trim();
    };
    const put = (name: string, data: string | Uint8Array) => sandbox.fs().write(`/root/${name}`, data);

    assert.equal(await run(`dig +short ${HOST}`), "203.0.113.254");
    assert.match(await run("dig other.example"), /status: (REFUSED|NXDOMAIN)/);
    assert.match(await run(`curl -sS -m 20 http://${HOST}:1/ || true`), /refused|Couldn't connect/i);
    assert.match(await run("curl -sS -m 20 http://1.1.1.1/ || true"), /refused|Couldn't connect/i);

    await put("ca.pem", originAuthority.certificate);
    const verified = `host=${HOST} port=${postgres.port} user=tester dbname=postgres sslmode=verify-full sslrootcert=/root/ca.pem`;
    const psql = (sql: string) => run(`psql '${verified}' -qAt -v ON_ERROR_STOP=1 -c "${sql}"`);
    assert.equal(await psql("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "TLSv1.3");
    await psql("\\copy (SELECT i, md5(i::text) FROM generate_series(1, 100000) AS i) TO '/root/rows'");
    await psql("CREATE TABLE copied (i int, sum text)");
    await psql("\\copy copied FROM '/root/rows'");
    assert.equal(await psql("SELECT count(*) FILTER (WHERE sum = md5(i::text)) FROM copied"), "100000");

    const redisCli = `redis-cli -h ${HOST} -p ${redis.port}`;
    assert.equal(await run(`${redisCli} PING`), "PONG");
    const many = `seq 1 20000 | sed 's/.*/SET key:& value:&\\r/' | ${redisCli} --pipe`;
    assert.match(await run(many), /errors: 0, replies: 20000/);
    assert.equal(await run(`${redisCli} GET key:20000`), "value:20000");

    await put("key", readFileSync(sshd.files.key));
    await put("known", readFileSync(sshd.files.knownHosts));
    await run("chmod 600 /root/key");
    const options = sshOptions({ key: "/root/key", knownHosts: "/root/known" }).join(" ");
    assert.equal(await run(`ssh ${options} -p ${sshd.port} root@${HOST} 'echo $((6 * 7))'`), "42");
    const sent = randomBytes(50 * MiB);
    writeFileSync(path("sent"), sent);
    await run(`scp -q ${options} -P ${sshd.port} root@${HOST}:${path("sent")} /root/copy`);
    assert.equal(await run("sha256sum < /root/copy"), `${sha256(sent)}  -`);
    await run(`scp -q ${options} -P ${sshd.port} /root/copy root@${HOST}:${path("back")}`);
    assert.ok(sent.equals(readFileSync(path("back"))), "what came back is not what was sent");

    // TLS is read on the way, by an authority that Debian's programs trust without a word.
    const bare = path("git/project.git");
    execFileSync("git", ["init", "-q", "--bare", "-b", "main", bare]);
    const url = `https://${HOST}:${git.port}/project.git`;
    const asMe = "git -c user.name=a -c user.email=a@example -c http.postBuffer=65536";
    await run(`git clone -q ${url} /root/work && cd /root/work && head -c 2000000 /dev/urandom > file &&
      git add file && ${asMe} commit -qm one && ${asMe} push -q origin HEAD:main`);
    await run(`git clone -q --depth=1 ${url} /root/again && cmp /root/work/file /root/again/file`);
    assert.match(
      await run(`curl -sS -f '${url}/info/refs?service=git-upload-pack' | tr -d '\\0'`),
      /refs\/heads\/main/,
    );

    const web = `http://${HOST}:${servers.http}`;
    const kept = await run(`curl -sS ${web}/1 ${web}/2 -w ' %{num_connects}\\n'`);
    assert.deepEqual(
      kept.split("\n").map((line) => line.at(-1)),
      ["1", "0"],
    );
    await run(`head -c 5000000 /dev/urandom > /root/upload`);
    const sum = (await run("sha256sum < /root/upload")).split(" ")[0];
    assert.equal(JSON.parse(await run(`curl -sS -T - ${web}/up < /root/upload`)).sha256, sum);
    const events = `
import urllib.request
got = []
with urllib.request.urlopen("${web}/events", timeout=60) as stream:
    for line in stream:
        if line.startswith(b"data: "):
            got.append(int(line[6:]))
            urllib.request.urlopen("${web}/want/%d" % (got[-1] + 1), timeout=60).read()
print(got == list(range(20)))`;
    await put("events.py", events);
    assert.equal(await run("python3 /root/events.py"), "True");
    const asyncio = `
import asyncio
async def one(number, opened, all_open):
    reader, writer = await asyncio.open_connection("${HOST}", ${servers.tcp})
    assert await reader.readline() == b"220 ready\\n"
    opened.append(number)
    if len(opened) == 200: all_open.set()
    await all_open.wait()
    message = b"%d " % number * 2000
    writer.write(b"echo\\n" + message)
    writer.write_eof()
    assert await reader.read() == message
    writer.close()
async def main():
    opened, all_open = [], asyncio.Event()
    await asyncio.gather(*(one(number, opened, all_open) for number in range(200)))
    print(len(opened))
asyncio.run(main())`;
    await put("many.py", asyncio);
    assert.equal(await run("python3 /root/many.py"), "200");

    await run(
      `rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] http://${HOST}:${debian.port} ./' > /etc/apt/sources.list`,
    );
    await run("apt-get -q update && apt-get -q install -y msb-sample");
    assert.equal(await run("cat /opt/msb-sample"), "sample");
  },
  {
    timeoutMs: 600_000,
    skip: IMAGE === undefined ? "set MSB_DEBIAN_IMAGE to a directory with Debian" : undefined,
    missing: postgresProblem ?? sshdProblem ?? programsMissing("redis-server", "dpkg-deb"),
  },
);
