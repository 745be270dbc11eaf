import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ipv6Routes } from "../../../../src/egress/dns/ipv6_routes.ts";
import { Nameservers, nameserverProblem, parseNameserver } from "../../../../src/egress/dns/nameservers.ts";
import { reverseAddress } from "../../../../src/egress/dns/reverse.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

async function withFile(body: (path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "msb-dns-"));
  try {
    await body(join(directory, "file"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("parseNameserver() reads addresses with and without a port", () => {
  assert.deepEqual(parseNameserver("1.1.1.1"), { address: "1.1.1.1", port: 53 });
  assert.deepEqual(parseNameserver("127.0.0.1:5353"), { address: "127.0.0.1", port: 5353 });
  assert.deepEqual(parseNameserver("2606:4700::1111"), { address: "2606:4700::1111", port: 53 });
  assert.deepEqual(parseNameserver("[::1]:5353"), { address: "::1", port: 5353 });
  for (const text of [
    "",
    "dns.example",
    "1.1.1.1:0",
    "1.1.1.1:65536",
    "[1.1.1.1]:53",
    "010.0.0.1",
    "1.1.1",
    "::1:x",
  ])
    assert.ok(parseNameserver(text) === undefined && nameserverProblem(text) !== undefined, text);
});

test("Nameservers reads the machine's file, and again when it has changed", async () => {
  await withFile(async (path) => {
    const clock = new FakeClock();
    const nameservers = new Nameservers([], clock, path);
    const addresses = async () => (await nameservers.list()).map(({ address }) => address);
    assert.deepEqual(await addresses(), ["127.0.0.1"]);
    writeFileSync(
      path,
      "# nameserver 9.9.9.9\nsearch x\n nameserver 1.1.1.1\nnameserver fe80::1%eth0\nnameserver no\n",
    );
    assert.deepEqual(await addresses(), ["127.0.0.1"]);
    clock.advance(5_000);
    assert.deepEqual(await addresses(), ["1.1.1.1", "fe80::1%eth0"]);
    writeFileSync(path, "nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n");
    clock.advance(5_000);
    assert.deepEqual(await addresses(), ["1.0.0.1", "1.0.0.2", "1.0.0.3"]);
    assert.deepEqual(await new Nameservers(["8.8.8.8:54"], clock, path).list(), [
      { address: "8.8.8.8", port: 54 },
    ]);
  });
});

test("Ipv6Routes finds routes in the kernel's table", async () => {
  await withFile(async (path) => {
    const clock = new FakeClock();
    const zeros = "0".repeat(32);
    const line = (destination: string, prefix: string, flags: string, device: string) =>
      `${destination} ${prefix} ${zeros} 00 ${zeros} 00000400 00000001 00000000 ${flags} ${device.padStart(8)}\n`;
    writeFileSync(path, line("fd000000000000000000000000000000", "08", "00000001", "eth0"));
    const routes = new Ipv6Routes(clock, path);
    assert.deepEqual([await routes.reach("fd12::1"), await routes.reach("2606:4700::1")], [true, false]);
    writeFileSync(path, line(zeros, "00", "00200200", "lo") + line(zeros, "00", "00000200", "eth0"));
    clock.advance(5_000);
    assert.equal(await routes.reach("2606:4700::1"), false); // both say that there is no way
    writeFileSync(path, line(zeros, "00", "00450003", "eth0"));
    clock.advance(5_000);
    assert.equal(await routes.reach("2606:4700::1"), true);
    assert.equal(await new Ipv6Routes(clock, `${path}.absent`).reach("2606:4700::1"), false);
  });
});

test("reverseAddress() reads whole addresses of both families", () => {
  assert.equal(reverseAddress("4.3.2.1.in-addr.arpa"), "1.2.3.4");
  assert.equal(reverseAddress(`1.${"0.".repeat(27)}0.8.e.f.ip6.arpa`), "fe80::1");
  for (const name of [
    "3.2.1.in-addr.arpa",
    "4.3.2.1.in-addr.arpa.example",
    "x.ip6.arpa",
    "999.1.1.1.in-addr.arpa",
  ])
    assert.equal(reverseAddress(name), undefined, name);
});
