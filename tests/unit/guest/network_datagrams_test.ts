/** Datagrams and echoes of a guest whose flows the host decides. @module */
import assert from "node:assert/strict";
import type { FlowRequest, GuestDatagrams } from "../../../src/egress/flow.ts";
import type { AgentGuestLink } from "../../../src/egress/guest/guest_link.ts";
import { GuestNetwork, guestNetworkProblem as missing } from "../../support/egress/guest_network.ts";
import { test } from "../../support/harness.ts";

const options = { missing };

/** Sends back whatever comes. */
function echoDatagrams(link: AgentGuestLink): { requests: FlowRequest[]; flows: GuestDatagrams[] } {
  const requests: FlowRequest[] = [];
  const flows: GuestDatagrams[] = [];
  link.onRequest = (request) => {
    requests.push(request);
    const flow = link.acceptDatagrams(request);
    flow.onDatagram = (data) => flow.send(data);
    flows.push(flow);
  };
  return { requests, flows };
}

for (const [family, address, largest] of [
  ["AF_INET", "198.51.100.7", 65_507],
  ["AF_INET6", "2001:db8::7", 65_487],
] as const) {
  test(
    `datagrams of any size pass whole both ways (${family})`,
    async () => {
      await using guest = await GuestNetwork.start();
      const { requests } = echoDatagrams(guest.link);
      const output = await guest.python(
        `
import os, socket, sys
u = socket.socket(socket.${family}, socket.SOCK_DGRAM)
u.settimeout(20)
for size in (0, 1, 2, 3, 1500, 9001, int(sys.argv[2])):
    data = os.urandom(size)
    u.sendto(data, (sys.argv[1], 5353))
    got, peer = u.recvfrom(1 << 17)
    assert got == data and peer[:2] == (sys.argv[1], 5353), (size, len(got), peer)
print(u.getsockname()[1])
`,
        address,
        String(largest),
      );
      assert.deepEqual(
        requests.map(({ protocol, source, destination }) => [protocol, source.port, destination]),
        [["udp", Number(output), { address, port: 5353 }]],
      );
    },
    options,
  );

  test(
    `an echo request is answered with its number (${family})`,
    async () => {
      await using guest = await GuestNetwork.start();
      const { requests } = echoDatagrams(guest.link);
      const isIpv6 = family === "AF_INET6";
      await guest.python(
        `
import socket, struct, sys
is_ipv6 = socket.${family} == socket.AF_INET6
s = socket.socket(socket.${family}, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if is_ipv6 else socket.IPPROTO_ICMP)
s.settimeout(20)
s.connect((sys.argv[1], 0))
def checksum(data):
    if len(data) % 2: data += b"\\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return total
payloads = {0x1234: b"the same", 0x1235: b"the same", 7: b"", 8: bytes(1001)}
for sequence, payload in payloads.items():
    head = struct.pack("!BBHHH", 128 if is_ipv6 else 8, 0, 0, 0x4242, sequence)
    if not is_ipv6: head = head[:2] + struct.pack("!H", checksum(head + payload) ^ 0xffff) + head[4:]
    s.send(head + payload)
while payloads:
    packet = s.recv(4096)
    icmp = packet if is_ipv6 else packet[20:]
    kind, code, _, identifier, sequence = struct.unpack("!BBHHH", icmp[:8])
    assert (kind, code, identifier) == (129 if is_ipv6 else 0, 0, 0x4242), icmp[:8]
    assert is_ipv6 or checksum(icmp) == 0xffff
    assert payloads.pop(sequence) == icmp[8:]
`,
        address,
      );
      assert.deepEqual(
        requests.map(({ protocol, source, destination }) => [protocol, source.port, destination]),
        [["icmp", 0, { address, port: 0 }]],
      );
      assert.equal(guest.link.hasIpv6 || !isIpv6, true);
    },
    options,
  );

  test(
    `a flow that is refused is ECONNREFUSED, before it was let in and after (${family})`,
    async () => {
      await using guest = await GuestNetwork.start();
      guest.link.onRequest = (request) => {
        if (request.destination.port !== 82)
          return guest.link.refuse(request, request.destination.port === 80 ? "refused" : "unreachable");
        const flow = guest.link.acceptDatagrams(request);
        flow.onDatagram = () => flow.refuse("refused");
      };
      const output = await guest.python(
        `
import errno, socket, sys
for port in (80, 81, 82):
    u = socket.socket(socket.${family}, socket.SOCK_DGRAM)
    u.settimeout(20)
    u.setsockopt(*((socket.IPPROTO_IP, 11, 1) if socket.${family} == socket.AF_INET else (socket.IPPROTO_IPV6, 25, 1))) # RECVERR
    u.connect((sys.argv[1], port))
    u.send(b"x")
    try:
        u.recv(1)
    except OSError as error:
        print(errno.errorcode[error.errno])
`,
        address,
      );
      assert.deepEqual(output.split("\n"), ["ECONNREFUSED", "EHOSTUNREACH", "ECONNREFUSED"]);
    },
    options,
  );
}

test(
  "datagrams that come while the host decides follow the first, as far as there is room",
  async () => {
    await using guest = await GuestNetwork.start();
    const asked = Promise.withResolvers<FlowRequest>();
    guest.link.onRequest = asked.resolve;
    await guest.python(`
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(100): u.sendto(b"%d" % i, ("198.51.100.7", 53))
`);
    const request = await asked.promise;
    await guest.client.ping(); // what was sent before is here
    const got: string[] = [];
    const flow = guest.link.acceptDatagrams(request);
    flow.onDatagram = (data) => got.push(new TextDecoder().decode(data));
    await guest.python("");
    assert.deepEqual(got.slice(0, 8), ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert.ok(got.length <= 16, `${got.length} were kept`);
  },
  options,
);

test(
  "a flow that was closed is asked for again by the next datagram",
  async () => {
    await using guest = await GuestNetwork.start();
    const { requests, flows } = echoDatagrams(guest.link);
    const talk = `
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 4000))
u.settimeout(20)
u.sendto(b"x", ("198.51.100.7", 53))
print(u.recv(10).decode())
`;
    assert.equal(await guest.python(talk), "x");
    assert.equal(await guest.python(talk), "x");
    assert.equal(requests.length, 1); // the same ends: the same flow
    flows[0]?.close();
    await flows[0]?.closed;
    assert.equal(await guest.python(talk), "x");
    assert.equal(requests.length, 2);
  },
  options,
);

test(
  "a guest that sends to 100,000 places has no more flows than the agent has room for",
  async () => {
    await using guest = await GuestNetwork.start();
    const { requests, flows } = echoDatagrams(guest.link);
    let closed = 0;
    const answer = guest.link.onRequest;
    guest.link.onRequest = (request) => {
      answer(request);
      flows.pop()?.closed.then(() => closed++);
    };
    await guest.python(`
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(100_000): u.sendto(b"x", ("198.51.%d.%d" % (i >> 8 & 255, i & 255), 53 + i // 65536))
`);
    assert.ok(requests.length > 1024, `${requests.length} requests`);
    assert.ok(requests.length - closed <= 1024 + 256, `${requests.length - closed} flows are open`);
    assert.equal((await guest.run("true")).code, 0);
  },
  options,
);
