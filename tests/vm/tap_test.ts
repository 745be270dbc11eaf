/** Network mode `tap` in a real guest, each test in a network namespace of its own. @module */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import {
  NetworkError,
  NetworkExhaustedError,
  Sandbox,
  SandboxManager,
  type TapNetworkOptions,
} from "../../mod.ts";
import { hasNetworkInterface } from "../../src/platform/network_interface.ts";
import { eventually, hostProcesses, kill } from "../support/processes.ts";
import { GREETING, startGreeter } from "../support/vm/greeter.ts";
import { ip, namespaceTest, networkLeft } from "../support/vm/network_namespace.ts";

const NETWORK: TapNetworkOptions = { mode: "tap", cidr: "10.9.0.0/24" };
const GATEWAY = "10.9.0.1";
const PORT = 8080;
/** Bytes of frames that are on their way while one side counts, or that the guest's device dropped as it came up. */
const COUNTED_APART = 2000;
/** Routing rules of a sandbox that is kept apart. */
const RULES_ISOLATED = 3;

/** One of the kernel's counters, e.g. `Icmp`, `InEchos`. See RFC 4293. */
function counterOf(snmp: string, group: string, counter: string): number {
  const [names = "", values = ""] = snmp.split("\n").filter((line) => line.startsWith(`${group}:`));
  const column = names.split(" ").indexOf(counter);
  assert.ok(column > 0, `${group} ${counter} in ${snmp}`);
  return Number(values.split(" ")[column]);
}

/** Packets that this namespace has forwarded from one device to another. */
function forwarded(): number {
  return counterOf(readFileSync("/proc/net/snmp", "utf8"), "Ip", "ForwDatagrams");
}

/** Echo requests that have arrived in a guest. */
async function echoesIn(sandbox: Sandbox): Promise<number> {
  return counterOf((await sandbox.exec("cat", ["/proc/net/snmp"])).stdout(), "Icmp", "InEchos");
}

/** Whether an address answers. Who is to answer has time for it: guests are emulated, and the machine may be busy. */
async function pings(sandbox: Sandbox, address: string, waitSeconds = 20): Promise<boolean> {
  return (await sandbox.exec("ping", ["-c", "2", "-W", String(waitSeconds), address])).code === 0;
}

async function addressOf(sandbox: Sandbox): Promise<string> {
  const { ip: address } = await sandbox.network.info();
  assert.ok(address !== undefined, "a running sandbox has an address");
  return address;
}

namespaceTest(
  import.meta.url,
  "network tap joins host and guest, and nothing of it is left after a stop",
  async ({ create }) => {
    const dns = ["10.9.0.1", "192.0.2.53"];
    const ports = [{ hostPort: 0, guestPort: PORT }];
    const sandbox = await create({ network: { ...NETWORK, dns }, ports });
    const { ip: address = "", gateway, mac = "", tapName = "", mode } = await sandbox.network.info();
    assert.deepEqual([mode, address, gateway], ["tap", "10.9.0.2", GATEWAY]);
    assert.match(mac, /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/);
    assert.deepEqual([hasNetworkInterface(tapName), networkLeft().length], [true, 1 + RULES_ISOLATED]);
    const shown = await sandbox.shell("ip address show dev eth0; ip route; cat /etc/resolv.conf");
    for (const word of [`inet ${address}/32`, mac, `default via ${GATEWAY}`, ...dns])
      assert.ok(shown.stdout().includes(word), `${word} in ${shown.stdout()}`);
    assert.match(ip("address", "show", "dev", tapName), new RegExp(`inet ${GATEWAY} peer ${address}/32`));
    assert.doesNotMatch(ip("-detail", "link", "show", "dev", tapName), /master|bridge/);

    await sandbox.shell(`echo "from the guest" >/tmp/page; httpd -h /tmp -p ${PORT}`);
    const [published] = await sandbox.network.ports.list();
    for (const server of [`${address}:${PORT}`, `127.0.0.1:${published?.hostPort}`])
      assert.equal(await (await fetch(`http://${server}/page`)).text(), "from the guest\n", server);

    using greeter = await startGreeter(GATEWAY);
    const read = await sandbox.exec("timeout", ["10", "nc", GATEWAY, String(greeter.port)]);
    assert.equal(read.stdout(), GREETING);

    // What the device carried, as the host counts it: the guest's own counters say the same.
    const guestCounters = await sandbox.shell("cd /sys/class/net/eth0/statistics && cat rx_bytes tx_bytes");
    const [received = 0, sent = 0] = guestCounters.stdout().trim().split("\n").map(Number);
    const { netRxBytes, netTxBytes } = await sandbox.metrics();
    assert.ok(received > 0 && Math.abs(netRxBytes - received) < COUNTED_APART, `${netRxBytes}, ${received}`);
    assert.ok(sent > 0 && Math.abs(netTxBytes - sent) < COUNTED_APART, `${netTxBytes}, ${sent}`);

    await sandbox.stop();
    assert.deepEqual([hasNetworkInterface(tapName), networkLeft()], [false, []]);
    assert.equal((await sandbox.network.info()).ip, undefined);
    const again = await Sandbox.start(sandbox.name);
    assert.ok(await pings(again, GATEWAY));
    await again.kill();
    assert.deepEqual(networkLeft(), []);
  },
);

namespaceTest(
  import.meta.url,
  "network tap keeps sandboxes apart, and from other networks, unless they are not isolated",
  async ({ create }) => {
    const sandboxes = await Promise.all(
      ["first", "second", "open", "open too"].map((label, index) =>
        create({ name: label.replace(" ", "-"), network: { ...NETWORK, isolated: index < 2 } }),
      ),
    );
    const [first, second, open, openToo] = sandboxes;
    assert.ok(first && second && open && openToo);
    // As others do on a host at any time (a container engine, an administrator): it is all devices that forward then.
    writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    ip("tuntap", "add", "dev", "outside", "mode", "tap");
    ip("address", "add", "198.51.100.1/24", "dev", "outside");
    ip("link", "set", "dev", "outside", "up");
    for (const sandbox of sandboxes) assert.ok(await pings(sandbox, GATEWAY), sandbox.name);

    const before = { forwarded: forwarded(), second: await echoesIn(second) };
    assert.equal(await pings(first, await addressOf(second), 1), false, "an isolated one to another");
    assert.equal(await pings(first, await addressOf(open), 1), false, "an isolated one to an open one");
    assert.equal(await pings(first, "198.51.100.7", 1), false, "an isolated one to another network");
    assert.equal(await pings(open, await addressOf(second), 1), false, "an open one to an isolated one");
    const after = { forwarded: forwarded(), second: await echoesIn(second) };
    assert.deepEqual(after, before, "nothing of it was forwarded, not even one way");

    assert.equal(await pings(open, await addressOf(openToo)), true, "an open one to another");
    assert.ok(forwarded() > before.forwarded);
    assert.ok((await echoesIn(openToo)) > 0);

    const spoofed = await addressOf(second);
    await first.shell(`ip address add ${spoofed}/32 dev eth0`);
    const echoes = () => counterOf(readFileSync("/proc/net/snmp", "utf8"), "Icmp", "InEchos");
    const heard = echoes();
    await first.exec("ping", ["-c", "2", "-W", "1", "-I", spoofed, GATEWAY]);
    assert.equal(echoes(), heard, "the host does not hear a guest with another's address");
  },
);

namespaceTest(
  import.meta.url,
  "network tap leaves nothing after SIGKILL of the VM host process, and can be started again",
  async ({ create, home }) => {
    const sandbox = await create({ network: NETWORK });
    const { tapName = "", ip: address } = await sandbox.network.info();
    assert.equal(hasNetworkInterface(tapName), true);
    for (const { pid } of hostProcesses(home)) kill(pid);
    await eventually(() => assert.equal(hasNetworkInterface(tapName), false)); // nobody has looked yet
    const handle = await Sandbox.get(sandbox.name);
    assert.equal(handle.status, "crashed");
    assert.deepEqual(networkLeft(), []);

    const other = await create({ name: "other", network: NETWORK });
    assert.equal(await addressOf(other), address, "the address is free again");
    const again = await Sandbox.start(sandbox.name);
    assert.notEqual(await addressOf(again), address);
    assert.ok(await pings(again, GATEWAY));
    await again.kill();
  },
);

namespaceTest(
  import.meta.url,
  "network tap refuses a network that is exhausted or overlaps the host's, and makes nothing",
  async ({ create, scratch }) => {
    const network: TapNetworkOptions = { mode: "tap", cidr: "10.9.1.0/30" };
    await using manager = new SandboxManager();
    const failing = await manager.createSandbox({ image: `${scratch}/absent`, network });
    assert.equal(failing.ip, "10.9.1.2");
    const refused = manager.createSandbox({ image: `${scratch}/absent`, network });
    await assert.rejects(refused, NetworkExhaustedError);
    await eventually(async () => assert.equal((await manager.inspectSandbox(failing.id)).state, "failed"));
    await manager.removeSandbox(failing.id);
    const only = await create({ name: "only", network });
    assert.equal(await addressOf(only), "10.9.1.2");
    await assert.rejects(
      create({ name: "one-more", network }),
      (error) => error instanceof NetworkExhaustedError && error.cidr === network.cidr,
    );
    await assert.rejects(create({ name: "one-more", network: { ...NETWORK, cidr: "10.9.0.0/16" } }), {
      name: "NetworkError",
      message: /overlaps/,
    });
    await only.stop();
    const next = await create({ name: "next", network });
    assert.equal(await addressOf(next), "10.9.1.2");

    ip("route", "add", "10.9.0.128/25", "dev", "lo");
    await assert.rejects(
      create({ name: "one-more", network: NETWORK }),
      (error) => error instanceof NetworkError && /route to 10\.9\.0\.128\/25 by lo/.test(error.message),
    );
    const { sandboxes } = await Sandbox.list();
    assert.deepEqual(
      sandboxes.map(({ name }) => name),
      ["only", "next"],
    );
    assert.equal(
      networkLeft().filter((line) => line.startsWith("msb")).length,
      1,
      "that of the one that runs",
    );
  },
);
