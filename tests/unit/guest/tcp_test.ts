/** TCP streams of the guest agent, against servers of the test's own. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { encodeFrame } from "../../../src/agent/frame.ts";
import {
  FrameFlag,
  MESSAGES,
  SESSIONS_MAX,
  STREAM_WINDOW_BYTES,
  WireError,
} from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const options = { skip: nativeAgentProblem };
const STREAM = 7;
const CONNECT_TIMEOUT_MS = 20_000;
const CONNECTION_REFUSED = 111;
const INVALID_ARGUMENT = 22;

/** A server that lasts as long as its scope. */
class TestServer implements AsyncDisposable {
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  static async start(
    serve: (socket: Socket) => void,
    host = "127.0.0.1",
    allowHalfOpen = true,
  ): Promise<TestServer> {
    const server = createServer({ allowHalfOpen });
    const started = new TestServer(server);
    server.on("connection", (socket) => {
      started.sockets.push(socket);
      socket.on("error", () => {}); // resets are what some tests are about
      serve(socket);
    });
    server.listen(0, host);
    await once(server, "listening");
    return started;
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function connect(agent: NativeAgent, port: number, host = "", stream = STREAM): void {
  agent.send("tcpConnect", stream, { port, host, timeoutMs: CONNECT_TIMEOUT_MS });
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  await using server = await TestServer.start(() => {});
  return server.port;
}

test(
  "tcpConnect carries bytes both ways, and each direction ends by itself",
  async () => {
    await using server = await TestServer.start((socket) => {
      let text = "";
      socket.on("data", (chunk) => {
        text += String(chunk);
      });
      socket.on("end", () => socket.end(`heard ${text}`));
    });
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    agent.stdin(STREAM, "hello");
    agent.stdin(STREAM, " there", FrameFlag.end);
    const record = await agent.collect(STREAM);
    assert.equal(record.stdout, "heard hello there");
    assert.equal(record.names.at(-1), "closed");
  },
  options,
);

test(
  "tcpConnect finds a server that listens on the IPv6 loopback only",
  async () => {
    await using server = await TestServer.start(
      (socket) => socket.on("data", () => socket.end("six")),
      "::1",
    );
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    agent.stdin(STREAM, "?", FrameFlag.end);
    const record = await agent.collect(STREAM);
    assert.equal(record.stdout, "six");
  },
  options,
);

test(
  "tcpConnect says why there is no connection",
  async () => {
    await using agent = await NativeAgent.start();
    connect(agent, await freePort());
    assert.equal((await agent.expect("tcpFailed", STREAM)).fields.errno, CONNECTION_REFUSED);
    await agent.expect("closed", STREAM);
    connect(agent, 80, "not.an.address");
    assert.equal((await agent.expect("tcpFailed", STREAM)).fields.errno, INVALID_ARGUMENT);
    await agent.expect("closed", STREAM);
    connect(agent, 0);
    await agent.expect("error", STREAM);
    await agent.expect("closed", STREAM);
  },
  options,
);

test(
  "A TCP stream moves no more than its window ahead of its reader, and loses nothing",
  async () => {
    const content = seededRandom("a long answer").bytes(5 * STREAM_WINDOW_BYTES + 17);
    await using server = await TestServer.start((socket) => socket.end(content));
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    const hash = createHash("sha256");
    let received = 0;
    let unread = 0;
    for (;;) {
      const message = await agent.next(STREAM);
      if (message.name !== "stdout") throw new Error(`a ${message.name}`);
      hash.update(message.fields.data);
      received += message.fields.data.length;
      unread += message.fields.data.length;
      assert.ok(unread <= STREAM_WINDOW_BYTES);
      if ((message.flags & FrameFlag.end) !== 0) break;
      if (unread < STREAM_WINDOW_BYTES) continue;
      await agent.settle();
      assert.deepEqual(agent.pending(STREAM), []); // it waits for credit
      agent.send("credit", STREAM, { channel: MESSAGES.stdout.type, bytes: unread });
      unread = 0;
    }
    assert.equal(received, content.length);
    assert.equal(hash.digest("hex"), createHash("sha256").update(content).digest("hex"));
    agent.stdin(STREAM, "", FrameFlag.end);
    await agent.expect("closed", STREAM);
  },
  options,
);

test(
  "A TCP stream gives credit only for what the peer has taken",
  async () => {
    await using server = await TestServer.start((socket) => socket.pause());
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    const content = seededRandom("a long request").bytes(64 * STREAM_WINDOW_BYTES);
    const hash = createHash("sha256");
    let window = STREAM_WINDOW_BYTES;
    let sent = 0;
    const takeCredit = (message: Awaited<ReturnType<NativeAgent["next"]>>) => {
      if (message.name !== "credit") throw new Error(`a ${message.name}`);
      window += message.fields.bytes;
    };
    const sendWindow = () => {
      const size = Math.min(window, content.length - sent);
      agent.stdin(STREAM, content.subarray(sent, sent + size));
      window -= size;
      sent += size;
    };
    // Until a whole window waits in the agent, as the peer's buffers are full.
    for (let before = -1; before !== sent && sent < content.length; ) {
      before = sent;
      sendWindow();
      await agent.settle();
      for (let left = agent.pending(STREAM).length; left > 0; left--) takeCredit(await agent.next(STREAM));
    }
    assert.ok(sent < content.length, "the kernel took everything: make the content larger");
    let received = 0;
    const socket = server.sockets[0];
    assert.ok(socket);
    const ended = once(socket, "end");
    socket.on("data", (chunk: Uint8Array) => {
      received += chunk.length;
      hash.update(chunk);
    });
    socket.resume();
    while (sent < content.length) {
      takeCredit(await agent.next(STREAM));
      sendWindow();
    }
    agent.stdin(STREAM, "", FrameFlag.end);
    await ended;
    assert.equal(received, content.length);
    assert.equal(hash.digest("hex"), createHash("sha256").update(content).digest("hex"));
  },
  options,
);

test(
  "close resets the connection, and so does a client that leaves",
  async () => {
    for (const leave of ["close", "clientGone"] as const) {
      const broken = Promise.withResolvers<unknown>();
      await using server = await TestServer.start((socket) => {
        socket.resume();
        socket.on("error", broken.resolve);
        socket.on("end", () => broken.resolve("an orderly end"));
      });
      await using agent = await NativeAgent.start();
      connect(agent, server.port);
      await agent.expect("tcpConnected", STREAM);
      agent.stdin(STREAM, "half of it");
      if (leave === "close") agent.send("close", STREAM, {});
      else agent.send("clientGone", 0, { firstStream: 1, lastStream: STREAM });
      const error = await broken.promise;
      assert.equal(error instanceof Error && "code" in error ? error.code : error, "ECONNRESET");
    }
  },
  options,
);

test(
  "A TCP stream refuses the messages of other kinds, well formed or not, and goes on",
  async () => {
    await using server = await TestServer.start((socket) => socket.pipe(socket));
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    for (const name of ["signal", "resize", "datagram"] as const) {
      for (const payload of [[], [1], [15, 0], [0, 0, 0, 0]]) {
        const frame = {
          stream: STREAM,
          type: MESSAGES[name].type,
          flags: 0,
          payload: new Uint8Array(payload),
        };
        agent.sendBytes(encodeFrame(frame));
        const { fields } = await agent.expect("error", STREAM);
        assert.deepEqual([fields.code, fields.offendingType], [WireError.badStream, frame.type]);
      }
    }
    agent.stdin(STREAM, "still here", FrameFlag.end);
    assert.equal((await agent.collect(STREAM)).stdout, "still here");
  },
  options,
);

test(
  "TCP streams and programs share their number",
  async () => {
    await using server = await TestServer.start(() => {});
    await using agent = await NativeAgent.start();
    for (let stream = 1; stream <= SESSIONS_MAX; stream++) {
      connect(agent, server.port, "", stream);
      await agent.expect("tcpConnected", stream);
    }
    connect(agent, server.port, "", SESSIONS_MAX + 1);
    await agent.expect("tcpFailed", SESSIONS_MAX + 1);
    await agent.expect("closed", SESSIONS_MAX + 1);
    agent.send("close", 1, {});
    await agent.expect("closed", 1);
    connect(agent, server.port, "", SESSIONS_MAX + 2);
    await agent.expect("tcpConnected", SESSIONS_MAX + 2);
  },
  options,
);

test(
  "shutdown ends TCP streams whose clients do not",
  async () => {
    await using server = await TestServer.start(() => {});
    await using agent = await NativeAgent.start();
    connect(agent, server.port);
    await agent.expect("tcpConnected", STREAM);
    agent.send("shutdown", 0, { graceMs: 100 });
    await agent.expect("closed", STREAM);
    await agent.expect("flushed", 0);
  },
  options,
);
