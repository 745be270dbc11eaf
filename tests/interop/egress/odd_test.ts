/**
 * What proxies get wrong: protocols other than HTTP on ports that are read, and responses in the forms that HTTP also has. A
 * client in the guest must get what it gets without us.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HttpInterceptor } from "../../../src/egress/tls/interceptor.ts";
import { originAuthority, tlsConfig } from "../../support/egress/origin.ts";
import { freePort, programsMissing, startGuestOf, startServer } from "../../support/egress/real_guest.ts";
import { secret } from "../../support/egress/secrets.ts";
import {
  postgresProblem,
  sshdProblem,
  startPostgres,
  startSshd,
} from "../../support/egress/service_servers.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const ODD_SERVER = fileURLToPath(new URL("../../support/egress/odd_server.py", import.meta.url));
const interceptor = (config: ConstructorParameters<typeof HttpInterceptor>[0]["config"]) =>
  new HttpInterceptor({ config });

/** A response without what a proxy may change (RFC 9110 section 7.6): its version, and how its body is framed. */
function meaningOf(response: string): string {
  return response
    .replace(/^HTTP\/1\.0 /, "HTTP/1.1 ")
    .replace(/^(?:Connection|Transfer-Encoding): .*\r\n/gm, "");
}

test(
  "HTTP responses in rare forms reach a guest as they reach a client of the host",
  async () => {
    const port = await freePort();
    await using server = await startServer(port, ["python3", ODD_SERVER, String(port)]);
    using directory = temporaryDirectory();
    const upload = join(directory.path, "upload");
    writeFileSync(upload, "u".repeat(3_000_000));
    const secrets = [secret("KEY", { allowedHosts: ["odd.example"], requireTlsIdentity: false })];
    for (const isRead of [false, true]) {
      const config = isRead ? { tls: tlsConfig(), secrets, interceptor } : {};
      await using guest = await startGuestOf({ "odd.example:80": server.port }, config);
      for (const words of [
        ..."until-close close no-content not-modified empty hints trailers repeated reason no-reason latin1 long"
          .split(" ")
          .map((path) => [`http://odd.example/${path}`]),
        ["--head", "http://odd.example/empty"],
        ["--http1.0", "http://odd.example/empty"],
        ["http://odd.example/hints", "http://odd.example/trailers", "http://odd.example/close"],
        ["-T", upload, "http://odd.example/too-large"],
      ]) {
        const curl = ["-sS", "-i", "-m", "20", ...words];
        const { stdout } = spawnSync("curl", [...curl, "--connect-to", `::127.0.0.1:${port}`]);
        const inGuest = await guest.run("sh", "-c", 'curl "$@" | base64 -w 0', "sh", ...curl);
        const here = stdout.toString("latin1");
        const there = Buffer.from(inGuest, "base64").toString("latin1");
        assert.ok(here.length > 20, here);
        assert.equal(isRead ? meaningOf(there) : there, isRead ? meaningOf(here) : here, words.join(" "));
      }
    }
  },
  { missing: programsMissing("curl", "python3") },
);

test(
  "ssh and psql pass where TLS is read on their port, too",
  async () => {
    using directory = temporaryDirectory();
    using forPostgres = temporaryDirectory();
    await using sshd = await startSshd(directory.path, "shell.example", 443);
    await using postgres = await startPostgres(forPostgres.path, "db.example");
    const tls = tlsConfig({ interceptedPorts: [443, 5432] });
    const authority = join(directory.path, "ca.pem");
    writeFileSync(authority, originAuthority.certificate);
    for (const secrets of [[], [secret("KEY", { allowedHosts: ["web.example"] })]]) {
      await using guest = await startGuestOf(
        { "shell.example:443": sshd.port, "db.example:5432": postgres.port },
        { tls, secrets, interceptor },
      );
      const ssh = ["ssh", ...sshd.options, "-p", "443", "root@shell.example"];
      assert.equal(await guest.run(...ssh, "echo $((6 * 7))"), "42");
      for (const mode of ["disable", "verify-full"]) {
        const server = `host=db.example port=5432 user=tester dbname=postgres connect_timeout=20`;
        const options = `sslmode=${mode} sslrootcert=${authority}`;
        assert.equal(await guest.run("psql", `${server} ${options}`, "-qAtc", "SELECT 42"), "42");
      }
      await guest.egress.close();
      const denied = guest.entries.filter(({ decision }) => decision === "denied");
      assert.deepEqual(denied, []);
    }
  },
  { missing: postgresProblem ?? sshdProblem ?? programsMissing("ssh", "psql") },
);
