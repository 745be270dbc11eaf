/** The link to a guest that sends anything. @module */
import assert from "node:assert/strict";
import { AgentClient } from "../../../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../../../src/agent/codec.ts";
import { encodeFrame, FrameDecoder } from "../../../../src/agent/frame.ts";
import {
  FlowProtocolCode,
  FlowRefusalCode,
  FrameFlag,
  MESSAGES,
  type Message,
  type MessageFields,
  type MessageName,
  PROTOCOL_VERSION,
  STREAM_WINDOW_BYTES,
} from "../../../../src/agent/protocol.ts";
import type { FlowRequest } from "../../../../src/egress/flow.ts";
import { CONTROL_FRAMES_MAX } from "../../../../src/egress/guest/frame_queue.ts";
import { AgentGuestLink, REQUESTS_MAX } from "../../../../src/egress/guest/guest_link.ts";
import { addressText } from "../../../../src/egress/guest/ip_text.ts";
import { test } from "../../../support/harness.ts";
import { MemoryConnection } from "../../../support/memory_connection.ts";
import { seededRandom } from "../../../support/random.ts";

const FUZZ_ROUNDS = Number(process.env["MSB_EGRESS_FUZZ_ROUNDS"] ?? 25);
const FUZZ_FRAMES_A_ROUND = 200;

/** The guest's end of a link, in this process. */
class FakeGuest {
  readonly link: AgentGuestLink;
  /** What came from the host, on flows. */
  readonly heard: Message[];
  readonly #send: (frame: Uint8Array) => void;

  /** @param isDeaf Whether it takes nothing from the host beyond the first window. */
  static async start(isDeaf = false): Promise<FakeGuest> {
    const [near, far] = MemoryConnection.pair();
    const heard: Message[] = [];
    const inner = new FrameDecoder();
    const outer = new FrameDecoder();
    const welcome = {
      version: PROTOCOL_VERSION,
      features: 0,
      firstStream: 1,
      lastStream: 1000,
      bootNumber: 1,
      sandboxId: "fake",
    };
    far.send(encodeMessage("welcome", 0, welcome));
    let stream = 0;
    const say = (frame: Uint8Array) =>
      far.send(encodeFrame({ stream, type: MESSAGES.stdout.type, flags: 0, payload: frame }));
    far.onData((chunk) => {
      for (const frame of outer.feed(chunk)) {
        if (frame.type === MESSAGES.networkOpen.type) {
          stream = frame.stream;
          far.send(encodeMessage("execStarted", stream, { pid: 7 }));
          say(encodeMessage("networkReady", 0, { features: 1 }));
        } else if (frame.type === MESSAGES.close.type) {
          far.send(encodeMessage("exited", stream, { code: 0, signal: 9 }));
          far.send(encodeMessage("closed", stream, {}));
        } else if (frame.type === MESSAGES.stdin.type) {
          for (const { payload, ...flow } of inner.feed(frame.payload)) {
            const message = decodeMessage({ ...flow, payload: payload.slice() });
            if (message !== undefined) heard.push(message);
          }
          const fields = { channel: MESSAGES.stdin.type, bytes: frame.payload.length };
          if (fields.bytes > 0 && !isDeaf) far.send(encodeMessage("credit", stream, fields));
        }
      }
    });
    const client = await AgentClient.over(near);
    return new FakeGuest(await AgentGuestLink.open(client), heard, say);
  }

  private constructor(link: AgentGuestLink, heard: Message[], send: (frame: Uint8Array) => void) {
    this.link = link;
    this.heard = heard;
    this.#send = send;
  }

  sendBytes(bytes: Uint8Array): void {
    this.#send(bytes);
  }

  say<N extends MessageName>(name: N, flow: number, fields: MessageFields<N>, flags = 0): void {
    this.#send(encodeMessage(name, flow, fields, flags));
  }

  ask(flow: number, protocol: number = FlowProtocolCode.tcp, destinationPort = 80): void {
    this.say("flowRequest", flow, {
      protocol,
      source: Uint8Array.of(192, 0, 2, 2),
      sourcePort: 40_000,
      destination: Uint8Array.of(198, 51, 100, 7),
      destinationPort,
    });
  }
}

/** Lets everything that was sent arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve));
}

/** The requests that come, unanswered. */
function requestsOf(link: AgentGuestLink): FlowRequest[] {
  const requests: FlowRequest[] = [];
  link.onRequest = (request) => requests.push(request);
  return requests;
}

test("AgentGuestLink refuses requests past its bound itself", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  for (let flow = 1; flow <= REQUESTS_MAX + 10; flow++) guest.ask(flow);
  await settle();
  assert.equal(requests.length, REQUESTS_MAX);
  assert.deepEqual(
    guest.heard.map(({ name, stream, fields }) => [name, stream, fields]),
    Array.from({ length: 10 }, (_, i) => [
      "flowRefuse",
      REQUESTS_MAX + 1 + i,
      { reason: FlowRefusalCode.refused },
    ]),
  );
});

test("AgentGuestLink ends when a guest goes on asking and takes no answers, which would pile up", async () => {
  const guest = await FakeGuest.start(true);
  guest.link.onRequest = (request) => guest.link.refuse(request, "refused");
  let isOver = false;
  guest.link.closed.then(() => {
    isOver = true;
  });
  let asked = 0;
  for (; asked < 4 * CONTROL_FRAMES_MAX && !isOver; asked++) {
    guest.ask((asked % 1000) + 1);
    if (asked % 1000 === 999) await new Promise((resolve) => setTimeout(resolve)); // within its own window
  }
  assert.ok(isOver, `${asked} answers wait`);
  assert.ok(asked > CONTROL_FRAMES_MAX, `${asked}`);
});

test("AgentGuestLink gives requests numbers of its own, which the guest cannot repeat", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(5);
  guest.say("closed", 5, {});
  guest.ask(5);
  await settle();
  const [first, second] = requests as [FlowRequest, FlowRequest];
  assert.notEqual(first.id, second.id);
  assert.equal(first.signal.aborted, true);
  assert.equal(second.signal.aborted, false);
  guest.link.refuse(first, "refused"); // of a flow that has ended: not the second
  await settle();
  assert.deepEqual(guest.heard, []);
  guest.link.refuse(second, "unreachable");
  await settle();
  assert.equal(guest.heard.length, 1);
});

for (const [what, wrong] of [
  ["a request on a flow that is open", (guest: FakeGuest) => guest.ask(1)],
  ["a request on flow 0", (guest: FakeGuest) => guest.ask(0)],
  ["an unknown protocol", (guest: FakeGuest) => guest.ask(2, 99)],
  [
    "an address of no family",
    (guest: FakeGuest) =>
      guest.say("flowRequest", 2, {
        protocol: 6,
        source: new Uint8Array(5),
        sourcePort: 1,
        destination: new Uint8Array(4),
        destinationPort: 1,
      }),
  ],
  [
    "bytes of a flow that was not let in",
    (guest: FakeGuest) => guest.say("stdout", 1, { data: new Uint8Array(1) }),
  ],
  ["an invalid frame", (guest: FakeGuest) => guest.sendBytes(new Uint8Array(12).fill(255))],
] as const) {
  test(`AgentGuestLink ends at ${what}`, async () => {
    const guest = await FakeGuest.start();
    const requests = requestsOf(guest.link);
    guest.ask(1);
    wrong(guest);
    await guest.link.closed;
    await settle();
    assert.equal(requests[0]?.signal.aborted, true);
  });
}

test("AgentGuestLink ends at a connection that overruns its window, and its streams say so", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(1);
  await settle();
  const accepting = guest.link.accept(requests[0] as FlowRequest);
  guest.say("tcpConnected", 1, {});
  const connection = await accepting;
  const data = new Uint8Array(32 * 1024);
  for (let sent = 0; sent < STREAM_WINDOW_BYTES; sent += data.length) guest.say("stdout", 1, { data });
  await settle();
  guest.say("stdout", 1, { data: new Uint8Array(1) });
  await guest.link.closed;
  const error = await connection.closed;
  assert.ok(error instanceof Error);
  await assert.rejects(connection.writable.getWriter().write(data));
});

test("what a connection carries to the guest is cut so that each frame fits into one packet", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(5);
  await settle();
  const accepted = guest.link.accept(requests[0] as FlowRequest);
  guest.say("tcpConnected", 5, {});
  const writer = (await accepted).writable.getWriter();
  await writer.write(new Uint8Array(150_000));
  await settle();
  const sizes = guest.heard.flatMap((message) =>
    message.name === "stdin" ? [message.fields.data.length] : [],
  );
  const largest = 65_535 - 40 - 32; // behind the headers of IPv6, and of TCP with time stamps
  assert.deepEqual(sizes, [largest, largest, 150_000 - 2 * largest]);
  guest.link.close();
});

test("accept() rejects if the connection breaks before the guest's kernel has it", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(1);
  await settle();
  const accepting = guest.link.accept(requests[0] as FlowRequest);
  guest.say("tcpFailed", 1, { errno: 104, message: "Connection reset by peer" });
  guest.say("closed", 1, {});
  await assert.rejects(accepting, /reset by peer/);
  assert.throws(() => guest.link.acceptDatagrams(requests[0] as FlowRequest));
});

test("acceptDatagrams() delivers what came first, and no more than was kept", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(1, FlowProtocolCode.udp, 53);
  for (let i = 0; i < 40; i++) guest.say("datagram", 1, { data: Uint8Array.of(i) });
  await settle();
  const flow = guest.link.acceptDatagrams(requests[0] as FlowRequest);
  const got: number[] = [];
  flow.onDatagram = ([number = -1]) => got.push(number);
  guest.say("datagram", 1, { data: Uint8Array.of(99) });
  await settle();
  assert.deepEqual(got, [...Array.from({ length: 16 }, (_, i) => i), 99]);
  guest.say("closed", 1, {});
  await flow.closed;
});

test("an echo reply has the number of the oldest request with its payload; a reply without a request is dropped", async () => {
  const guest = await FakeGuest.start();
  const requests = requestsOf(guest.link);
  guest.ask(1, FlowProtocolCode.icmp, 0);
  for (const [sequence, byte] of [
    [1, 7],
    [2, 8],
    [3, 7],
  ] as const)
    guest.say("echo", 1, { sequence, data: Uint8Array.of(byte) });
  await settle();
  const flow = guest.link.acceptDatagrams(requests[0] as FlowRequest);
  await settle();
  for (const byte of [8, 7, 7, 7, 9]) flow.send(Uint8Array.of(byte));
  await settle();
  const numbers = guest.heard.flatMap((message) =>
    message.name === "echo" ? [message.fields.sequence] : [],
  );
  assert.deepEqual(numbers, [2, 1, 3]);
});

test("AgentGuestLink survives what a hostile guest sends, or ends: nothing else", async () => {
  const random = seededRandom("frames of a hostile guest");
  const { flowRequest, tcpConnected, tcpFailed, stdout, credit, stdinError, closed, datagram, echo, error } =
    MESSAGES;
  const known = [
    flowRequest,
    tcpConnected,
    tcpFailed,
    stdout,
    credit,
    stdinError,
    closed,
    datagram,
    echo,
    error,
  ];
  for (let round = 0; round < FUZZ_ROUNDS; round++) {
    const guest = await FakeGuest.start();
    guest.link.onRequest = (request) => {
      if (random.integer(0, 3) === 0) guest.link.refuse(request, "refused");
      else if (request.protocol !== "tcp") guest.link.acceptDatagrams(request).onDatagram = () => {};
      else
        guest.link
          .accept(request)
          .then(({ readable }) => readable.cancel())
          .catch(() => {});
    };
    for (let i = 0; i < FUZZ_FRAMES_A_ROUND; i++) {
      const flow = random.integer(0, 40);
      if (random.integer(0, 2) === 0) guest.ask(flow + 1, random.pick([1, 6, 17]));
      else
        guest.sendBytes(
          encodeFrame({
            stream: flow,
            type: random.integer(0, 20) === 0 ? random.integer(0, 255) : random.pick(known).type,
            flags: random.pick([0, FrameFlag.end, 0]),
            payload: random.bytes(random.pick([0, 1, 2, 5, 9, random.integer(0, 500)])),
          }),
        );
      if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    await settle();
    guest.link.close();
    await guest.link.closed;
  }
});

test("addressText() writes addresses as RFC 5952 has them", () => {
  const bytes = (text: string) =>
    Uint8Array.from(
      text.split(" ").flatMap((group) => [parseInt(group.slice(0, 2), 16), parseInt(group.slice(2), 16)]),
    );
  for (const [given, text] of [
    ["2001 0db8 0000 0000 0001 0000 0000 0001", "2001:db8::1:0:0:1"],
    ["2001 0db8 0000 0001 0001 0001 0001 0001", "2001:db8:0:1:1:1:1:1"],
    ["0000 0000 0000 0000 0000 0000 0000 0000", "::"],
    ["0000 0000 0000 0000 0000 0000 0000 0001", "::1"],
    ["fe80 0000 0000 0000 0000 0000 0000 0000", "fe80::"],
    ["0000 0000 0000 0000 0000 ffff c0a8 0001", "192.168.0.1"],
  ] as const)
    assert.equal(addressText(bytes(given)), text);
  assert.equal(addressText(Uint8Array.of(10, 0, 0, 255)), "10.0.0.255");
  assert.equal(addressText(new Uint8Array(5)), undefined);
});
