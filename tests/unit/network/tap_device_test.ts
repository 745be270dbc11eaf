/**
 * The bounds of a TAP device, with no VM: guests are network namespaces at the other end of a pair of virtual devices,
 * inside a namespace of the test's own that stands for the host.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { NetworkError, NetworkPrivilegeError } from "../../../src/network/errors.ts";
import { lowerTap } from "../../../src/network/tap_device.ts";
import { findProgram } from "../../../src/platform/find_program.ts";
import { FakeProgram } from "../../support/fake_program.ts";
import { test } from "../../support/harness.ts";
import { namespaceProblem } from "../../support/vm/network_namespace.ts";

const DEVICE_MODULE = new URL("../../../src/network/tap_device.ts", import.meta.url).href;
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const GATEWAY = "10.9.0.1";
const OUTSIDE = "198.51.100.7";

interface Guest {
  readonly name: string;
  readonly address: string;
  readonly isolated: boolean;
}

const GUESTS: readonly Guest[] = [
  { name: "first", address: "10.9.0.2", isolated: true },
  { name: "second", address: "10.9.0.3", isolated: true },
  { name: "open", address: "10.9.0.4", isolated: false },
  { name: "open2", address: "10.9.0.5", isolated: false },
];

const problem = namespaceProblem ?? findProgramProblem() ?? findPairProblem();

function findProgramProblem(): string | undefined {
  const missing = ["bash", "nsenter", "busybox"].filter((program) => findProgram(program) === undefined);
  return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`;
}

function findPairProblem(): string | undefined {
  const { status } = spawnSync("unshare", ["--net", "ip", "link", "add", "type", "veth"]);
  return status === 0 ? undefined : "the kernel has no virtual pairs of devices (veth)";
}

/** A program that raises the devices, or lowers them. */
function program(name: "raiseTap" | "lowerTap"): string {
  const plans = GUESTS.map(({ name: tapName, address, isolated }) => {
    return { mode: "tap", tapName, address, isolated, gateway: GATEWAY, mtu: 1500 };
  });
  const evaluate = "Bun" in globalThis ? "-e" : "eval --no-check";
  const code = `const { ${name} } = await import("${DEVICE_MODULE}"); ${JSON.stringify(plans)}.forEach((plan) => ${name}(plan));`;
  return `'${process.execPath}' ${evaluate} '${code.replaceAll("'", "\\'")}'`;
}

/** Runs `commands` on a host with all guests, as after a boot; `@name` begins a command in a guest. */
function onHost(commands: readonly string[]): string[] {
  const inGuest = (command: string) =>
    command.replace(/^@(\w+) /, (_, name) => `nsenter --target $${name} --net `);
  const peer = (name: string, address: string, gateway: string) => [
    `ip link add ${name} type veth peer name eth0`,
    // A child that has a namespace of its own once it says so.
    `mkfifo $d/${name}; unshare --net sh -c 'echo >$0; exec sleep 1000' "$d/${name}" & ${name}=$!; read _ <"$d/${name}"`,
    `ip link set eth0 netns $${name}`,
    `@${name} ip link set lo up`,
    `@${name} ip address add ${address}/32 dev eth0`,
    `@${name} ip link set eth0 up`,
    `@${name} ip route add ${gateway} dev eth0`,
    `@${name} ip route add default via ${gateway}`,
  ];
  const script = [
    "set -e; d=$(mktemp -d); trap 'kill $(jobs -p); rm -r $d' EXIT; ip link set lo up",
    ...GUESTS.flatMap(({ name, address }) => peer(name, address, GATEWAY)),
    program("raiseTap"),
    "echo 1 >/proc/sys/net/ipv4/ip_forward", // as a container engine does, at any time
    ...peer("outside", OUTSIDE, "198.51.100.1"),
    "ip address add 198.51.100.1/24 dev outside; ip link set outside up",
    "echo 0 >/proc/sys/net/ipv4/conf/outside/rp_filter; echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter",
    ...commands,
  ];
  const { stdout, stderr, status } = spawnSync(
    "unshare",
    ["--net", "bash", "-c", script.map(inGuest).join("\n")],
    {
      cwd: PROJECT,
      encoding: "utf8",
    },
  );
  assert.equal(status, 0, stderr);
  return stdout.trim().split("\n");
}

/** Says whether `to` answers: who is to answer has time for it on a busy machine, too. */
function ping(to: string, expected: "yes" | "no", ...options: string[]): string {
  const waitSeconds = expected === "yes" ? 10 : 1;
  return `busybox ping -c 1 -W ${waitSeconds} ${options.join(" ")} ${to} >/dev/null && echo yes || echo no`;
}

test(
  "raiseTap() joins each guest to the host, and no others unless both are open",
  () => {
    const heard = "@second awk '/^Icmp: [0-9]/ {print $10}' /proc/net/snmp";
    const pairs: readonly (readonly [from: string, to: string, expected: "yes" | "no"])[] = [
      ...GUESTS.map(({ name }) => [name, GATEWAY, "yes"] as const),
      ["first", "10.9.0.3", "no"],
      ["first", "10.9.0.4", "no"],
      ["first", OUTSIDE, "no"],
      ["outside", "10.9.0.3", "no"],
      ["open", OUTSIDE, "yes"],
      ["outside", "10.9.0.4", "yes"],
      ["open", "10.9.0.3", "no"],
      ["open", "10.9.0.5", "yes"],
      ["open2", "10.9.0.4", "yes"],
    ];
    const answers = onHost([
      heard,
      ...pairs.map(([from, to, expected]) => `@${from} ${ping(to, expected)}`),
      heard,
    ]);
    assert.deepEqual(
      answers.slice(1, -1),
      pairs.map(([, , expected]) => expected),
    );
    assert.equal(answers.at(-1), answers[0], "the second guest has heard nobody");
  },
  { skip: problem },
);

test(
  "raiseTap() lets the host reach each guest, and lowerTap() leaves no rule",
  () => {
    const reach = GUESTS.map(({ address }) => ping(address, "yes"));
    const answers = onHost([...reach, program("lowerTap"), program("lowerTap"), "ip rule | wc -l"]);
    assert.deepEqual(answers, [...GUESTS.map(() => "yes"), "3"]);
  },
  { skip: problem },
);

test(
  "raiseTap() takes the place of what a killed process left of its address",
  () => {
    const left = [
      "priority 2 iif killed blackhole",
      ...GUESTS.flatMap(({ address }) => [
        `priority 2 iif lo to ${address} lookup main`,
        `priority 3 to ${address} blackhole`,
      ]),
    ];
    const answers = onHost([
      program("lowerTap"),
      ...GUESTS.map(({ name, address }) => `ip address flush dev ${name}; ip route flush ${address}`),
      ...left.map((rule) => `ip rule add ${rule}`),
      program("raiseTap"),
      `@open ${ping("10.9.0.5", "yes")}`,
      "ip rule | grep -c 10.9.0.4 || true",
    ]);
    assert.deepEqual(answers, ["yes", "0"]);
  },
  { skip: problem },
);

test(
  "lowerTap() takes the device down before its rules, and passes over one that is gone",
  () => {
    const isUp = "ip -brief link show up | grep -c '^first' || true";
    const answers = onHost([
      isUp,
      program("lowerTap"),
      isUp,
      "ip link delete first",
      program("lowerTap"),
      "ip rule | wc -l",
    ]);
    assert.deepEqual(answers, ["1", "0", "3"]);
  },
  { skip: problem },
);

test("lowerTap() says that it may not, or that it took too long", () => {
  using fake = new FakeProgram("ip");
  const link = { tapName: "msb0", address: "10.9.0.2" };
  fake.write("echo 'RTNETLINK answers: Operation not permitted' >&2; exit 1");
  assert.throws(() => lowerTap(link), NetworkPrivilegeError);
  fake.write("exec sleep 1000");
  assert.throws(() => lowerTap(link, 50), NetworkError);
  fake.write('kill -9 "$$"');
  assert.throws(() => lowerTap(link), NetworkError);
  fake.write("echo 'Cannot find device \"msb0\"' >&2; exit 1");
  lowerTap(link);
  assert.match(fake.input(), /^link set dev msb0 down\nrule del /);
});

test(
  "raiseTap() has the host not hear a guest that uses another's address",
  () => {
    const heard = "awk '/^Icmp: [0-9]/ {print $10}' /proc/net/snmp";
    const answers = onHost([
      "@first ip address add 10.9.0.3/32 dev eth0",
      heard,
      `@first ${ping(GATEWAY, "no", "-I", "10.9.0.3")}`,
      heard,
    ]);
    assert.deepEqual(answers, [answers[0], "no", answers[0]]);
  },
  { skip: problem },
);
