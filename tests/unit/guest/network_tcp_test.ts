/** TCP of a guest whose flows the host decides, by programs in a network namespace of the agent's. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { ConnectFailedError } from "../../../src/agent/errors.ts";
import type { FlowRequest } from "../../../src/egress/flow.ts";
import { digest, echoBytes, sendAll, serveTcp } from "../../support/egress/flow_servers.ts";
import { GuestNetwork, guestNetworkProblem as missing } from "../../support/egress/guest_network.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const options = { missing };
const ECONNRESET = 104;
const MiB = 1024 * 1024;
const ADDRESSES = ["198.51.100.7", "2001:db8::7"] as const;

/** Connects to each of the ports, and prints how that went. */
const CONNECT_TO_PORTS = `
import errno, socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port))).close()
        print("connected")
    except OSError as error:
        print(errno.errorcode[error.errno])
`;

for (const address of ADDRESSES) {
  test(
    `connect() to ${address} waits for the host, and tells the truth`,
    async () => {
      await using guest = await GuestNetwork.start();
      const asked: FlowRequest[] = [];
      guest.link.onRequest = (request) => {
        asked.push(request);
        if (request.destination.port === 81) guest.link.refuse(request, "refused");
        else if (request.destination.port === 82) guest.link.refuse(request, "unreachable");
        else guest.link.accept(request).then(echoBytes);
      };
      const output = await guest.python(CONNECT_TO_PORTS, address, "80", "81", "82");
      assert.deepEqual(output.split("\n"), ["connected", "ECONNREFUSED", "EHOSTUNREACH"]);
      assert.deepEqual(
        asked.map(({ protocol, destination }) => [protocol, destination]),
        [80, 81, 82].map((port) => ["tcp", { address, port }]),
      );
      assert.equal(new Set(asked.map(({ id }) => id)).size, 3);
    },
    options,
  );
}

test(
  "a connection that the host says timed out ends with ETIMEDOUT, and by the guest's own clock",
  async () => {
    await using guest = await GuestNetwork.start();
    guest.link.onRequest = (request) => guest.link.refuse(request, "timedOut");
    const output = await guest.python(`
import errno, socket
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
try:
    s.connect(("198.51.100.7", 80))
except OSError as error:
    print(errno.errorcode[error.errno])
`);
    assert.equal(output, "ETIMEDOUT");
  },
  options,
);

test(
  "SYNs that come again while the host decides ask nothing, and the connection comes all the same",
  async () => {
    await using guest = await GuestNetwork.start();
    const asked: FlowRequest[] = [];
    guest.link.onRequest = (request) => asked.push(request);
    const connecting = guest.python(`
import socket
s = socket.create_connection(("198.51.100.7", 80))
print(s.recv(10).decode())
`);
    const retransmitted = `
import time
while True:
    lines = [line.split() for line in open("/proc/net/netstat") if line.startswith("TcpExt")]
    if int(dict(zip(*lines))["TCPSynRetrans"]) > 0: break
    time.sleep(0.01)
`;
    await guest.python(retransmitted);
    assert.equal(asked.length, 1);
    const [request] = asked as [FlowRequest];
    assert.equal(request.signal.aborted, false);
    await sendAll(await guest.link.accept(request), Buffer.from("hello"));
    assert.equal(await connecting, "hello");
    assert.equal(asked.length, 1);
  },
  options,
);

test(
  "a request is given up when the guest no longer waits for it",
  async () => {
    await using guest = await GuestNetwork.start();
    const asked = Promise.withResolvers<FlowRequest>();
    guest.link.onRequest = asked.resolve;
    await guest.python(`
import socket
s = socket.socket()
s.setblocking(False)
s.connect_ex(("198.51.100.7", 80))
`);
    const request = await asked.promise;
    await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
    await assert.rejects(guest.link.accept(request), /no longer waits/);
    guest.link.refuse(request, "refused"); // nothing to do
  },
  options,
);

test(
  "each direction of a connection ends by itself, whichever comes first",
  async () => {
    await using guest = await GuestNetwork.start();
    const { failures } = serveTcp(guest.link, async (connection, { destination }) => {
      if (destination.port === 80) return await echoBytes(connection);
      await sendAll(connection, Buffer.from("first"));
      assert.equal((await digest(connection.readable)).bytes, 6);
    });
    const output = await guest.python(`
import socket
s = socket.create_connection(("198.51.100.7", 80))
s.sendall(b"question"); s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
s = socket.create_connection(("198.51.100.7", 81))
print(s.makefile().read())
s.sendall(b"second"); s.close()
`);
    assert.deepEqual(output.split("\n"), ["question", "first"]);
    assert.deepEqual(failures, []);
  },
  options,
);

test(
  "a reset passes on, from either side",
  async () => {
    await using guest = await GuestNetwork.start();
    const ended = Promise.withResolvers<Error | undefined>();
    serveTcp(guest.link, async (connection, { destination }) => {
      if (destination.port === 81) return connection.reset();
      await connection.writable.getWriter().write(Buffer.from("y"));
      await connection.readable
        .getReader()
        .read()
        .catch(() => {}); // the reset may overtake the byte
      ended.resolve(await connection.closed);
    });
    const output = await guest.python(`
import errno, socket, struct
s = socket.create_connection(("198.51.100.7", 80))
s.recv(1) # the host has the connection, too
s.sendall(b"x")
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
try:
    socket.create_connection(("198.51.100.7", 81)).recv(1)
except OSError as error:
    print(errno.errorcode[error.errno])
`);
    assert.equal(output, "ECONNRESET");
    const error = await ended.promise;
    assert.ok(error instanceof ConnectFailedError, String(error));
    assert.equal(error.errno, ECONNRESET);
  },
  options,
);

test(
  "a reset after the guest has ended its side is told, too",
  async () => {
    await using guest = await GuestNetwork.start();
    const ended = Promise.withResolvers<Error | undefined>();
    serveTcp(guest.link, async (connection) => {
      assert.equal((await connection.readable.getReader().read()).done, true);
      await connection.writable.getWriter().write(Buffer.from("unread"));
      ended.resolve(await connection.closed);
    });
    await guest.python(`
import socket
s = socket.create_connection(("198.51.100.7", 80))
s.shutdown(socket.SHUT_WR)
s.recv(1)
s.close()
`);
    assert.ok((await ended.promise) instanceof ConnectFailedError);
  },
  options,
);

test(
  "large transfers arrive whole, both ways at once",
  async () => {
    const bytes = 48 * MiB;
    await using guest = await GuestNetwork.start();
    const block = seededRandom("large transfers").bytes(MiB);
    const received = Promise.withResolvers<{ sha256: string; bytes: number }>();
    serveTcp(guest.link, async (connection) => {
      const blocks = Array.from({ length: bytes / MiB }, () => block);
      const [result] = await Promise.all([digest(connection.readable), sendAll(connection, ...blocks)]);
      received.resolve(result);
    });
    const [sent, got] = (
      await guest.python(
        `
import hashlib, os, socket, sys, threading
s = socket.create_connection(("198.51.100.7", 80))
sent, got = hashlib.sha256(), hashlib.sha256()
def send():
    for i in range(int(sys.argv[1])):
        block = os.urandom(1 << 20)
        sent.update(block)
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
while True:
    data = s.recv(1 << 20)
    if not data: break
    got.update(data)
thread.join()
print(sent.hexdigest(), got.hexdigest())
`,
        String(bytes / MiB),
      )
    ).split(" ");
    assert.deepEqual(await received.promise, { sha256: sent, bytes });
    const expected = createHash("sha256");
    for (let i = 0; i < bytes / MiB; i++) expected.update(block);
    assert.equal(got, expected.digest("hex"));
  },
  options,
);

test(
  "what the host does not read, the guest cannot send; and what the guest does not read, the host",
  async () => {
    await using guest = await GuestNetwork.start();
    let written = 0;
    const opened = Promise.withResolvers<void>();
    serveTcp(guest.link, async (connection) => {
      opened.resolve();
      const writer = connection.writable.getWriter();
      for (const block = new Uint8Array(64 * 1024); ; ) {
        await writer.write(block);
        written += block.length;
      }
    });
    const stuck = guest.python(`
import select, socket
s = socket.create_connection(("198.51.100.7", 80))
s.setblocking(False)
total = 0
while select.select([], [s], [], 1)[1]:
    total += s.send(bytes(1 << 16))
print(total)
`);
    await opened.promise;
    const total = Number(await stuck);
    // Windows, and what the guest's kernel buffers for both of its sockets.
    assert.ok(total > 256 * 1024 && total < 64 * MiB, `the guest sent ${total} bytes`);
    assert.ok(written < 64 * MiB, `the host sent ${written} bytes`);
    assert.equal((await guest.run("true")).code, 0);
  },
  options,
);

test(
  "1,000 short connections, and then 200 at once, are all served",
  async () => {
    await using guest = await GuestNetwork.start();
    const { requests, failures } = serveTcp(guest.link, echoBytes);
    const output = await guest.python(`
import socket, threading
def ask(text):
    with socket.create_connection(("198.51.100.7", 80)) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        assert s.makefile("rb").read() == text, text
for i in range(1000):
    ask(b"%d" % i)
all = [socket.create_connection(("198.51.100.7", 80)) for i in range(200)]
for i, s in enumerate(all): s.sendall(b"%04d" % i)
for i, s in enumerate(all): assert s.recv(4) == b"%04d" % i
for s in all: s.close()
threads = [threading.Thread(target=ask, args=(b"x" * 10000,)) for i in range(200)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("served")
`);
    assert.equal(output, "served");
    assert.equal(requests.length, 1400);
    assert.deepEqual(failures, []);
  },
  options,
);

test(
  "a guest that opens 100,000 connections is refused what is too many, and nothing else suffers",
  async () => {
    await using guest = await GuestNetwork.start();
    let [open, most, count] = [0, 0, 0];
    guest.link.onRequest = (request) => {
      most = Math.max(most, ++open);
      count++;
      request.signal.addEventListener("abort", () => open--);
    };
    await guest.python(`
import socket
for i in range(100_000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("198.51.%d.%d" % (i >> 8 & 255, i & 255), 80))
    s.close()
`);
    assert.ok(count >= 512 && most <= 512, `${count} requests, ${most} at once`);
    serveTcp(guest.link, echoBytes);
    const output = await guest.python(`
import socket
s = socket.create_connection(("198.51.100.7", 80))
s.sendall(b"still here"); s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
`);
    assert.equal(output, "still here");
    await delay(0);
  },
  options,
);
