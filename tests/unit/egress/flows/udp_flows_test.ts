import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { UDP_FLOWS_MAX, UDP_IDLE_MS } from "../../../../src/egress/flows/udp_flows.ts";
import { configOf, startCore } from "../../../support/egress/core.ts";
import type { FakeLink, GuestDatagramSocket } from "../../../support/egress/fake_link.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";
import { within } from "../../../support/within.ts";

const SERVER = "1.2.3.4";

async function startEcho(): Promise<{ port: number } & Disposable> {
  const socket = createSocket("udp4");
  socket.on("message", (data, peer) => socket.send(data, peer.port, peer.address));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: socket.address().port, [Symbol.dispose]: () => void socket.close() };
}

async function mustSend(link: FakeLink, port: number, text: string): Promise<GuestDatagramSocket> {
  const socket = await link.datagrams(SERVER, port, Buffer.from(text));
  if (typeof socket === "string") throw new Error(socket);
  return socket;
}

const text = async (socket: GuestDatagramSocket): Promise<string> =>
  Buffer.from(await socket.receive()).toString();

test("Egress carries datagrams whole, empty and large ones too", async () => {
  using echo = await startEcho();
  await using core = startCore(configOf());
  core.routes.set(SERVER, echo.port);
  const socket = await mustSend(core.link, 5000, "first");
  assert.equal(await text(socket), "first");
  for (const size of [0, 1, 1472, 9000, 65_507]) {
    socket.send(Buffer.alloc(size, 7));
    assert.equal((await within(5_000, `${size} bytes`, () => socket.receive())).length, size);
  }
  socket.close();
  await core.idle();
  await core.close();
  const end = core.entries.at(-1);
  assert.deepEqual([end?.protocol, end?.endedAs, end?.bytesIn], ["udp", "closed", 75_985]);
  assert.equal(end?.bytesOut, end?.bytesIn);
});

test("Egress refuses datagrams that the rules deny", async () => {
  await using core = startCore(configOf(["1.2.3.4:5000"]));
  assert.equal(await core.link.datagrams("1.2.3.5", 5000, Buffer.from("x")), "refused");
  assert.equal(await core.link.datagrams("1.2.3.4", 5001, Buffer.from("x")), "refused");
  assert.deepEqual(core.dialled, []);
});

test("Egress ends a flow of datagrams when none has passed for a while", async () => {
  using echo = await startEcho();
  const clock = new FakeClock();
  await using core = startCore(configOf(), { clock });
  core.routes.set(SERVER, echo.port);
  const socket = await mustSend(core.link, 5000, "x");
  assert.equal(await text(socket), "x");
  clock.advance(UDP_IDLE_MS - 1);
  socket.send(Buffer.from("y"));
  assert.equal(await text(socket), "y");
  clock.advance(UDP_IDLE_MS - 1);
  assert.equal(core.egress.flows.udp, 1);
  clock.advance(1);
  assert.equal(await socket.ended, "closed");
  await core.close();
  assert.equal(core.entries.at(-1)?.endedAs, "idle");
  assert.equal(clock.alarms, 0);
});

test("Egress limits flows of datagrams, and gives up the one idle for longest", async () => {
  using echo = await startEcho();
  await using core = startCore(configOf());
  core.routes.set(SERVER, echo.port);
  const sockets: GuestDatagramSocket[] = [];
  for (let index = 0; index < UDP_FLOWS_MAX; index++) {
    const socket = await mustSend(core.link, 5000, "x");
    await socket.receive();
    sockets.push(socket);
  }
  sockets[0]?.send(Buffer.from("still in use"));
  await sockets[0]?.receive();
  await mustSend(core.link, 5000, "one more");
  assert.equal(await sockets[1]?.ended, "closed");
  sockets[0]?.send(Buffer.from("y"));
  assert.equal((await sockets[0]?.receive())?.length, 1);
  assert.equal(core.egress.flows.udp, UDP_FLOWS_MAX);
});

test("Egress.update() ends flows of datagrams that are no longer allowed", async () => {
  using echo = await startEcho();
  await using core = startCore(configOf([SERVER]));
  core.routes.set(SERVER, echo.port);
  const socket = await mustSend(core.link, 5000, "x");
  await socket.receive();
  core.egress.update(configOf(["9.9.9.9"]));
  assert.equal(await socket.ended, "refused");
});

test("Egress answers echo requests to the gateway, and says that it cannot pass others on", async () => {
  await using core = startCore(configOf());
  const socket = await core.link.datagrams("203.0.113.1", 0, Buffer.from("ping"), "icmp");
  if (typeof socket === "string") throw new Error(socket);
  assert.equal(await text(socket), "ping");
  socket.send(Buffer.from("again"));
  assert.equal(await text(socket), "again");
  assert.equal(await core.link.datagrams("1.1.1.1", 0, Buffer.from("ping"), "icmp"), "unreachable");
  await core.close();
  assert.deepEqual(
    core.entries.map(({ protocol, reason }) => [protocol, reason]),
    [["icmp", "echo"]],
  );
});

// Deno tells nothing of the ICMP message that says so.
test(
  "Egress tells the guest that nothing answers at a port",
  async () => {
    await using core = startCore(configOf());
    const socket = await core.link.datagrams(SERVER, 5000, Buffer.from("x")); // the route leads to a closed port
    if (typeof socket === "string") return assert.equal(socket, "refused");
    assert.equal(await within(5_000, "the refusal", () => socket.ended), "refused");
  },
  { skip: "Bun" in globalThis ? undefined : "Deno does not tell errors of datagrams" },
);
