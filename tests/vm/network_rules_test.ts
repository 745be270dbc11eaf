/** Rules, secrets and decisions of a real guest's network, by the public names. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NetworkFlow, Sandbox } from "../../mod.ts";
import { httpsOrigin, originAuthority } from "../support/egress/origin.ts";
import { startGreeter } from "../support/vm/greeter.ts";
import { homeTest } from "../support/vm/vm.ts";

const IS_DENO = "Deno" in globalThis;
const HOST = "host.microsandbox.internal";
const VALUES = [
  "first-value-of-the-secret",
  "second-value-of-the-secret",
  "third-value-of-the-secret",
] as const;

homeTest(
  "a sandbox reaches whom its rules allow, and a server gets the secret that the guest does not have",
  async ({ create, home, scratch }) => {
    const seen: (string | undefined)[] = [];
    await using server = await httpsOrigin(
      (request, response) => {
        seen.push(request.headers["x-api-key"]?.toString());
        response.end("served\n");
      },
      { host: HOST },
    );
    using greeter = await startGreeter("127.0.0.1");
    const ca = join(scratch, "ca.pem");
    writeFileSync(ca, originAuthority.certificate);
    const network = {
      allow: [`${HOST}:${greeter.port}`],
      secrets: { API_KEY: { hosts: [HOST], value: VALUES[0] } },
      tls: { interceptedPorts: [server.port], upstreamCaCertPaths: [ca] },
    };
    await assert.rejects(
      create({
        network: {
          ...network,
          secrets: { API_KEY: { hosts: [HOST], from: { kind: "env", var: "NOT_SET_HERE" } } },
        },
      }),
      {
        code: "invalidConfig",
        issues: [
          {
            field: "network.secrets.API_KEY.from",
            problem: "is missing: the environment variable NOT_SET_HERE is not set",
          },
        ],
      },
    );
    const sandbox = await create({ network });
    const shell = async (script: string) => (await sandbox.shell(`${script} 2>&1`)).stdout().trim();
    const ask = `timeout 30 wget -q --no-check-certificate -O - --header "X-Api-Key: $API_KEY" https://${HOST}:${server.port}/`;
    const greet = `timeout 30 nc ${HOST} ${greeter.port}`;

    /** Makes the guest send its placeholder. Deno's TLS refuses busybox's, which names no signature algorithms (RFC 8446 4.2.3). */
    const assertServed = async (value: string) => {
      if (IS_DENO) return assert.match(await shell(ask), /handshake/);
      assert.equal(await shell(ask), "served");
      assert.equal(seen.at(-1), value);
    };
    assert.equal(await shell("echo $API_KEY"), "$MSB_API_KEY");
    assert.match(await shell(greet), /from the host/);
    await assertServed(VALUES[0]);
    assert.match(await shell("timeout 20 nslookup other.example"), /NXDOMAIN|REFUSED|can't resolve/);

    // A new value applies from the next request on; connections that are no longer allowed end.
    await sandbox.network.update({ secrets: { API_KEY: { value: VALUES[1] } } });
    await assertServed(VALUES[1]);
    const handle = await Sandbox.get(sandbox.name);
    await handle.network.update({ allow: [] });
    assert.doesNotMatch(await shell(greet), /from the host/);
    await assertServed(VALUES[1]); // a host that may get a secret may be reached
    const { egress } = await handle.network.info();
    assert.deepEqual(
      egress?.policy.rules.map(({ destination }) => destination),
      [{ kind: "domain", domain: HOST }],
    );
    await assert.rejects(sandbox.network.update({ allow: ["a b"] }), { code: "invalidConfig" });

    const flows: NetworkFlow[] = [];
    for await (const flow of sandbox.network.flows()) if (flow.kind === "flow") flows.push(flow);
    const decisions = flows.filter(({ port, protocol }) => port === greeter.port && protocol === "tcp");
    assert.ok(decisions.some(({ decision }) => decision === "allowed"));
    assert.ok(flows.some(({ decision, name }) => decision === "denied" && name === "other.example"));

    // No value and no key is kept anywhere, shown to other users, or written down.
    const found = (text: string) =>
      execFileSync("sh", [
        "-c",
        `{ ps axww -o args; grep -rFlse "$1" "$2" | sed s/^/file:/; } | grep -Fe "$1" -e file: || true`,
        "sh",
        text,
        home,
      ]).toString();
    for (const value of VALUES) assert.equal(found(value).replace(/.*grep.*\n/g, ""), "", value);
    const shown = JSON.stringify([await sandbox.network.info(), sandbox.config(), flows]);
    for (const value of [...VALUES, "PRIVATE KEY"]) assert.ok(!shown.includes(value), value);

    // Values are needed again, before anything is stopped.
    await assert.rejects(sandbox.restart(), { code: "invalidConfig" });
    assert.equal((await handle.refresh()).status, "running");
    const again = await sandbox.restart({ secrets: { API_KEY: VALUES[2] } });
    assert.match((await again.shell(`${greet} 2>&1`)).stdout(), /from the host/); // as it was created
    await again.shell(ask);
    if (!IS_DENO) assert.equal(seen.at(-1), VALUES[2]);
    await again.stop();
    await assert.rejects(Sandbox.start(sandbox.name), { code: "invalidConfig" });
  },
);
