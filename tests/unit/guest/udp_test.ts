/** UDP flows of the guest agent, against servers of the test's own. @module */
import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { MESSAGES, WireError } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const options = { skip: nativeAgentProblem };
const STREAM = 7;
/** The largest that IPv4 carries: 65,535 less 20 bytes of IP header and 8 of UDP header. */
const DATAGRAM_BYTES_MAX = 65_507;

/** A server that answers each datagram, as long as its scope lasts. */
async function serve(
  answer: (data: Buffer, from: RemoteInfo, socket: Socket) => void,
  host = "127.0.0.1",
  port = 0,
): Promise<{ readonly port: number; close(): void } & Disposable> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (data, from) => answer(data, from, socket));
  socket.bind(port, host);
  await once(socket, "listening");
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  return { port: socket.address().port, close, [Symbol.dispose]: close };
}

/** Sends what came back. */
function echo(data: Buffer, { address, port }: RemoteInfo, socket: Socket): void {
  socket.send(data, port, address);
}

async function received(agent: NativeAgent, stream = STREAM): Promise<Uint8Array> {
  return (await agent.expect("datagram", stream)).fields.data;
}

test(
  "udpOpen carries datagrams both ways, each whole, the largest and the empty one among them",
  async () => {
    const random = seededRandom("datagrams");
    using server = await serve(echo);
    await using agent = await NativeAgent.start();
    agent.send("udpOpen", STREAM, { port: server.port });
    const sizes = [
      1,
      0,
      DATAGRAM_BYTES_MAX,
      1472,
      0,
      ...Array.from({ length: 20 }, () => random.integer(0, 9000)),
    ];
    for (const size of sizes) {
      const data = random.bytes(size);
      agent.send("datagram", STREAM, { data });
      assert.deepEqual([...(await received(agent))], [...data], `${size} bytes`);
    }
    agent.send("close", STREAM, {});
    await agent.expect("closed", STREAM);
  },
  options,
);

test(
  "A UDP flow has no input, and refuses the messages of other kinds",
  async () => {
    using server = await serve(echo);
    await using agent = await NativeAgent.start();
    agent.send("udpOpen", STREAM, { port: server.port });
    agent.stdin(STREAM, "not a datagram");
    assert.equal((await agent.expect("error", STREAM)).fields.code, WireError.badStream);
    agent.send("signal", STREAM, { signal: 15, scope: 0 });
    assert.equal((await agent.expect("error", STREAM)).fields.code, WireError.badStream);
    agent.send("datagram", STREAM, { data: new TextEncoder().encode("one") });
    assert.equal(new TextDecoder().decode(await received(agent)), "one");
  },
  options,
);

test(
  "udpOpen keeps flows apart",
  async () => {
    using server = await serve((data, from, socket) =>
      socket.send(`${data} from ${from.port}`, from.port, from.address),
    );
    await using agent = await NativeAgent.start();
    const answers: string[] = [];
    for (const stream of [1, 2, 3]) {
      agent.send("udpOpen", stream, { port: server.port });
      agent.send("datagram", stream, { data: new TextEncoder().encode(`flow ${stream}`) });
      answers.push(new TextDecoder().decode(await received(agent, stream)));
    }
    answers.forEach((answer, index) => void assert.match(answer, new RegExp(`^flow ${index + 1} from`)));
    assert.equal(new Set(answers.map((answer) => answer.split(" ").at(-1))).size, 3);
  },
  options,
);

test(
  "udpOpen finds a server on the IPv6 loopback after a refusal, and one on the IPv4 loopback again",
  async () => {
    using six = await serve(echo, "::1");
    await using agent = await NativeAgent.start();
    agent.send("udpOpen", STREAM, { port: six.port });
    const ask = async (text: string) => {
      const data = new TextEncoder().encode(text);
      // The first is lost, and its refusal turns the flow to the other family: as with any lost datagram, ask again.
      for (let attempt = 0; attempt < 200; attempt++) {
        agent.send("datagram", STREAM, { data });
        await agent.settle();
        while (agent.pending(STREAM).some(({ name }) => name === "datagram")) {
          // What was asked more often than it had to be is answered as often, perhaps only now.
          const answer = new TextDecoder().decode(await received(agent));
          if (answer === text) return answer;
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return undefined;
    };
    assert.equal(await ask("six"), "six");
    six.close();
    using four = await serve(echo, "127.0.0.1", six.port);
    assert.equal(await ask("four"), "four");
    assert.equal(four.port, six.port);
  },
  options,
);

test(
  "udpOpen is refused a port 0, a stream in use, and during a shutdown, which ends all flows",
  async () => {
    using server = await serve(echo);
    await using agent = await NativeAgent.start();
    agent.send("udpOpen", STREAM, { port: 0 });
    await agent.expect("error", STREAM);
    await agent.expect("closed", STREAM);
    agent.send("udpOpen", STREAM, { port: server.port });
    agent.send("udpOpen", STREAM, { port: server.port });
    assert.equal((await agent.expect("error", STREAM)).fields.offendingType, MESSAGES.udpOpen.type);
    agent.send("shutdown", 0, { graceMs: 5_000 });
    await agent.expect("closed", STREAM);
    await agent.expect("flushed", 0);
    agent.send("udpOpen", STREAM + 1, { port: server.port });
    await agent.expect("closed", STREAM + 1);
  },
  options,
);

test(
  "udpOpen drops what the host does not take, and serves the others meanwhile",
  async () => {
    const COUNT = 2_000;
    const sent = Promise.withResolvers<void>();
    using server = await serve((_, from, socket) => {
      const sends = Array.from({ length: COUNT }, () => {
        const done = Promise.withResolvers<void>();
        socket.send(new Uint8Array(8192), from.port, from.address, () => done.resolve());
        return done.promise;
      });
      Promise.all(sends).then(() => sent.resolve());
    });
    await using agent = await NativeAgent.start();
    agent.send("udpOpen", STREAM, { port: server.port });
    agent.pause();
    agent.send("datagram", STREAM, { data: new Uint8Array(1) });
    await sent.promise; // 16 MiB, for which there is no place
    agent.resume();
    const record = await agent.run(STREAM + 1, "echo still here");
    assert.equal(record.stdout, "still here\n");
    const arrived = agent.pending(STREAM).filter(({ name }) => name === "datagram");
    assert.ok(arrived.length < COUNT, `${arrived.length} of ${COUNT}`);
    for (const message of arrived)
      assert.ok(message.name === "datagram" && message.fields.data.length === 8192);
  },
  options,
);
