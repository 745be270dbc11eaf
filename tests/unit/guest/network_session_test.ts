/** The guest's way out as a session of the agent: one at a time, its end, and what it makes of nonsense. @module */
import assert from "node:assert/strict";
import { encodeFrame } from "../../../src/agent/frame.ts";
import { MESSAGES, WireError } from "../../../src/agent/protocol.ts";
import { MicrosandboxError } from "../../../src/base/errors.ts";
import { AgentGuestLink, GUEST_ADDRESSES } from "../../../src/egress/guest/guest_link.ts";
import { echoBytes, serveTcp } from "../../support/egress/flow_servers.ts";
import {
  GuestNetwork,
  guestNetworkProblem as missing,
  runInGuest,
  startAgent,
} from "../../support/egress/guest_network.ts";
import { NativeAgent } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const options = { missing };
const FUZZ_FRAMES = 20_000;
const FUZZ_PACKETS = 20_000;

const ECHO = `
import socket
with socket.create_connection(("198.51.100.7", 80)) as s:
    s.sendall(b"still here"); s.shutdown(socket.SHUT_WR)
    print(s.makefile().read())
`;

test(
  "the agent refuses a second network, and gives another once the first has ended",
  async () => {
    await using guest = await GuestNetwork.start();
    await assert.rejects(AgentGuestLink.open(guest.client), (error) => {
      assert.ok(error instanceof MicrosandboxError);
      assert.equal(error.code, "network");
      return /already \(errno 16\)/.test(error.message);
    });
    serveTcp(guest.link, echoBytes);
    assert.equal(await guest.python(ECHO), "still here");
    guest.link.close();
    await guest.link.closed;
    assert.notEqual((await guest.run("ip", "link", "show", "eth0")).code, 0);
    serveTcp(await AgentGuestLink.open(guest.client), echoBytes);
    assert.equal(await guest.python(ECHO), "still here");
  },
  options,
);

test(
  "an interface that exists already, or an invalid address, is reported with the step that failed",
  async () => {
    const { client, exit } = await startAgent();
    try {
      await runInGuest(client, ["ip", "tuntap", "add", "dev", "eth0", "mode", "tap"]);
      await assert.rejects(AgentGuestLink.open(client), /make the network interface eth0/);
      await runInGuest(client, ["ip", "tuntap", "del", "dev", "eth0", "mode", "tap"]);
      await assert.rejects(
        AgentGuestLink.open(client, { ...GUEST_ADDRESSES, gateway: "::" }),
        /read the addresses/,
      );
    } finally {
      client.close();
      await exit;
    }
  },
  options,
);

test(
  "a guest that kills what carries its network loses the network, and the link ends",
  async () => {
    await using guest = await GuestNetwork.start();
    const ended = Promise.withResolvers<Error | undefined>();
    serveTcp(guest.link, async ({ closed }) => ended.resolve(await closed));
    const output = await guest.python(`
import errno, os, signal, socket, subprocess
s = socket.create_connection(("198.51.100.7", 80))
child = subprocess.check_output(["pgrep", "-u", "nobody", "-P", str(os.getppid())])
os.kill(int(child), signal.SIGKILL)
while "eth0" in [name for _, name in socket.if_nameindex()]: pass
try:
    socket.create_connection(("198.51.100.7", 80))
except OSError as error:
    print(errno.errorcode[error.errno])
`);
    assert.equal(output, "ENETUNREACH");
    await guest.link.closed;
    assert.ok((await ended.promise) instanceof Error);
  },
  options,
);

test(
  "random packets of the guest's root leave its network as it is",
  async () => {
    await using guest = await GuestNetwork.start();
    serveTcp(guest.link, echoBytes);
    const { seed } = seededRandom("random packets");
    await guest.python(
      `
import random, socket, struct, sys
random.seed(int(sys.argv[1]))
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
def send(data, kind):
    try: s.sendto(data, ("eth0", kind))
    except OSError: pass
for i in range(int(sys.argv[2])):
    size = random.choice((0, 1, 19, 20, 28, 39, 40, 60, 100, 1500, 9000))
    data = bytearray(random.randbytes(size))
    is_ipv6 = random.random() < 0.4
    if size > 0 and random.random() < 0.95: data[0] = 0x60 if is_ipv6 else random.choice((0x45, 0x45, 0x46, 0x4f, 0x40))
    if size >= 40 and is_ipv6:
        struct.pack_into("!HB", data, 4, size - 40, random.choice((6, 17, 58, 44, 0)))
    elif size >= 20 and not is_ipv6:
        struct.pack_into("!H", data, 2, random.choice((size, size, size, size - 1, 0)))
        struct.pack_into("!H", data, 6, random.choice((0, 0, 0x4000, 0x2000, 100)))
        data[9] = random.choice((6, 17, 1, 2))
        if size >= 40: data[33] = random.choice((2, 2, 18, 16, 4, 1, 0, 63))
    send(bytes(data), 0x86dd if is_ipv6 else 0x0800)
`,
      String(seed),
      String(FUZZ_PACKETS),
    );
    assert.equal(await guest.python(ECHO), "still here");
  },
  options,
);

test(
  "random frames of the host do not harm the agent, even if they end the network",
  async () => {
    const random = seededRandom("random frames about flows");
    const { client, exit } = await startAgent();
    try {
      const session = client.openNetwork(GUEST_ADDRESSES);
      await session.started;
      // Open flows first, so that some frames are about them.
      await runInGuest(client, [
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8; do (timeout 1 python3 -c 'import socket; s=socket.socket(); s.setblocking(False); s.connect_ex((\"198.51.100.7\", 80))') & done; wait",
      ]);
      const { flowAccept, flowRefuse, stdin, credit, close, datagram, echo, stdout } = MESSAGES;
      const types = [flowAccept, flowRefuse, stdin, credit, close, datagram, echo, stdout].map(
        ({ type }) => type,
      );
      for (let i = 0; i < FUZZ_FRAMES; i++) {
        const frame = encodeFrame({
          stream: random.pick([random.integer(0, 9), 8192 + random.integer(0, 20), 0xffff_ffff]),
          type: random.integer(0, 9) === 0 ? random.integer(0, 255) : random.pick(types),
          flags: random.pick([0, 0, 1, random.integer(0, 255)]),
          payload: random.bytes(random.pick([0, 1, 2, 5, random.integer(0, 300)])),
        });
        if (!(await session.stdin.write(frame))) break;
      }
      assert.equal((await runInGuest(client, ["echo", "here"])).stdout, "here\n");
      session.stdin.write(Buffer.from("this is no frame at all, and its header announces far too much"));
      const { code } = await session.exited;
      assert.equal(code, 1);
      assert.equal((await runInGuest(client, ["echo", "here"])).stdout, "here\n");
    } finally {
      client.close();
      await exit;
    }
  },
  options,
);

test("environment gives variables to each program that does not have them", async () => {
  await using agent = await NativeAgent.start();
  agent.send("environment", 0, { variables: ["TRUST=bundle", "OTHER=a=b", "PATH=/nowhere:/bin:/usr/bin"] });
  const { stdout } = await agent.run(1, 'echo "$TRUST $OTHER $PATH"', { env: ["OTHER=own"] });
  assert.equal(stdout, "bundle own /nowhere:/bin:/usr/bin\n");
  agent.send("environment", 0, { variables: ["TRUST"] }); // none: refused, and what was set stays
  assert.equal((await agent.expect("error", 0)).fields.code, WireError.malformed);
  assert.equal((await agent.run(2, 'echo "$TRUST"')).stdout, "bundle\n");
  agent.send("environment", 0, { variables: [] });
  assert.equal((await agent.run(3, 'echo "$TRUST"')).stdout, "\n");
});
