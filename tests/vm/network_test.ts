/** Network modes in a real guest. @module */
import assert from "node:assert/strict";
import { GREETING, startGreeter } from "../support/vm/greeter.ts";
import { ownAddress, userNetworkProblem } from "../support/vm/user_network.ts";
import { homeTest } from "../support/vm/vm.ts";

homeTest("network none gives the guest no device", async ({ create }) => {
  const sandbox = await create();
  const links = await sandbox.exec("ls", ["/sys/class/net"]);
  assert.ok(!links.stdout().split("\n").includes("eth0"), links.stdout());
  assert.deepEqual(await sandbox.network.info(), {
    mode: "none",
    ip: undefined,
    gateway: undefined,
    mac: undefined,
    tapName: undefined,
    egress: undefined,
    ports: [],
  });
});

homeTest(
  "network user through passt leads out to other machines' addresses, and not to the host's loopback interface",
  async ({ create }) => {
    using outside = await startGreeter(ownAddress ?? "");
    using inside = await startGreeter("127.0.0.1");
    const sandbox = await create({ network: { mode: "user", via: "passt" } });
    const { ip = "", gateway = "", mac = "" } = await sandbox.network.info();
    const shown = await sandbox.shell("ip address show dev eth0; ip route; cat /etc/resolv.conf");
    assert.ok(ip !== "" && mac !== "" && gateway !== "");
    for (const word of [ip, mac, `default via ${gateway}`, "nameserver"])
      assert.ok(shown.stdout().includes(word), `${word} in ${shown.stdout()}`);

    const read = (host: string, port: number) => sandbox.exec("timeout", ["10", "nc", host, String(port)]);
    assert.equal((await read(ownAddress ?? "", outside.port)).stdout(), GREETING);
    for (const host of [gateway, ownAddress ?? ""])
      assert.equal((await read(host, inside.port)).stdout(), "", host);
  },
  { missing: userNetworkProblem },
);
