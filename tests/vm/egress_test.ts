/** The network of a real guest whose connections the host decides. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { NetworkPolicy } from "../../mod.ts";
import { getSandbox } from "../../src/backend/backend.ts";
import { defaultBackend } from "../../src/backend/default_backend.ts";
import { GUEST_NETWORK } from "../../src/egress/guest_network.ts";
import { policyFromLists } from "../../src/egress/policy/parse_rule.ts";
import { startGreeter } from "../support/vm/greeter.ts";
import { Outside, outsideProblem } from "../support/vm/outside.ts";
import { homeTest } from "../support/vm/vm.ts";

const SERVERS = fileURLToPath(new URL("../support/vm/outside_servers.py", import.meta.url));
const MiB = 1024 * 1024;

homeTest(
  "network user carries a guest's connections as far as the rules go, and logs each",
  async ({ create }) => {
    using outside = await Outside.start(["python3", "-u", SERVERS]);
    using inside = await startGreeter("127.0.0.1");
    const sandbox = await create({
      network: { policy: NetworkPolicy.allowAll(), dns: { nameservers: [outside.address] } },
      ports: [{ hostPort: 0, guestPort: 8080 }],
    });
    const { mode, ip, gateway = "", mac } = await sandbox.network.info();
    assert.deepEqual(
      [mode, ip, gateway, mac],
      ["user", GUEST_NETWORK.ipv4.address, GUEST_NETWORK.ipv4.gateway, undefined],
    );
    const shown = (
      await sandbox.shell("ip address show dev eth0; ip route; ip -6 route; cat /etc/resolv.conf")
    ).stdout();
    for (const word of [
      `${ip}/`,
      `default via ${gateway}`,
      GUEST_NETWORK.ipv6.address,
      `nameserver ${gateway}\n`,
    ])
      assert.ok(shown.includes(word), `${word} in ${shown}`);

    const shell = async (script: string) => (await sandbox.shell(script)).stdout().trim();
    const nc = `timeout 20 nc ${outside.address}`;
    assert.equal(await shell(`${nc} 17`), "hello from outside");
    assert.equal(
      await shell(`${nc} 18 2>&1`),
      `nc: can't connect to remote host (${outside.address}): Connection refused`,
    );
    assert.equal(
      await shell(`for i in 1 2 3 4 5 6 7 8 9 10; do ${nc} 17; done | sort | uniq -c`),
      "10 hello from outside",
    );
    // Both ways at once, and by hash: what comes back is what was sent.
    const block = createHash("sha256")
      .update(new Uint8Array(4 * MiB))
      .digest("hex");
    assert.equal(
      await shell(`dd if=/dev/zero bs=1M count=4 2>/dev/null | ${nc} 7 | sha256sum`),
      `${block}  -`,
    );
    assert.equal(await shell(`dd if=/dev/zero bs=1M count=4 2>/dev/null | ${nc} 9`), block);
    const asked = await shell("timeout 30 nslookup name.files.example 2>&1");
    assert.ok(asked.includes(gateway) && asked.includes("1.2.3.4"), asked);
    assert.match(await shell(`ping -c 2 -W 5 ${gateway}`), /2 packets received/);
    // The host's loopback, by whatever name, and metadata services: refused.
    for (const host of [gateway, GUEST_NETWORK.ipv4.host, "169.254.169.254"])
      assert.equal(await shell(`timeout 20 nc ${host} ${inside.port} 2>&1 | grep -c hello`), "0", host);

    await sandbox.shell("mkdir -p /www && echo served > /www/index.html && httpd -p 127.0.0.1:8080 -h /www");
    const [port] = await sandbox.network.ports.list();
    assert.equal(await (await fetch(`http://127.0.0.1:${port?.hostPort ?? 0}/`)).text(), "served\n");

    // Other rules while it runs: what is open and no longer allowed ends.
    const client = await (await getSandbox(defaultBackend(), sandbox.name)).sandbox.connect();
    const open = sandbox.shell(
      `mkfifo /idle; sleep 1000 > /idle & nc ${outside.address} 7 < /idle; echo ended`,
    );
    await sandbox.shell("until netstat -tn | grep -q ESTABLISHED; do sleep 0.1; done");
    const policy = policyFromLists({ allow: [`${outside.address}:17`] }, "network");
    await client.updateNetwork({ policy });
    assert.ok((await open).stdout().endsWith("ended\n"));
    assert.match(await shell(`${nc} 7 2>&1`), /refused/);
    assert.equal(await shell(`${nc} 17`), "hello from outside");
    await assert.rejects(client.updateNetwork({ policy: "none" }), { code: "network" });

    const { netRxBytes, netTxBytes } = await sandbox.metrics();
    assert.ok(netRxBytes >= 4 * MiB && netRxBytes < 5 * MiB, `received ${netRxBytes}`);
    assert.ok(netTxBytes >= 8 * MiB && netTxBytes < 9 * MiB, `sent ${netTxBytes}`);

    await sandbox.pause();
    await sandbox.resume();
    assert.equal(await shell(`${nc} 17`), "hello from outside");
    await sandbox.stop();
    const log = (await sandbox.logs({ sources: ["network"] })).map((entry) => JSON.parse(entry.text()));
    const of = (port: number) =>
      log.filter(({ protocol, destination }) => protocol === "tcp" && destination.port === port);
    assert.ok(of(17).length >= 13, JSON.stringify(log));
    assert.ok(
      of(inside.port).every(({ decision }) => decision !== "allowed"),
      JSON.stringify(of(inside.port)),
    );
    assert.ok(
      of(7).some(({ bytesOut }) => bytesOut >= 4 * MiB),
      JSON.stringify(of(7)),
    );
    assert.equal((await sandbox.logs()).length > 0, true);
    assert.ok((await sandbox.logs()).every(({ source }) => source !== "network"));
  },
  { missing: outsideProblem },
);
