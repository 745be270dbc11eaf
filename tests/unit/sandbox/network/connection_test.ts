/** Connections to a guest's server as Web Streams: a native agent, the real relay, and servers of the test's own. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { MicrosandboxError } from "../../../../mod.ts";
import { connectPort } from "../../../../src/sandbox/network/connection.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";

const options = { skip: nativeAgentProblem };

async function serve(accept: (socket: Socket) => void) {
  const server = createServer({ allowHalfOpen: true });
  const sockets: Socket[] = [];
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("error", () => {}); // some tests break connections off
    accept(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const isConnectError = (error: unknown) => MicrosandboxError.is(error) && error.code === "connectFailed";

test(
  "connect() gives two directions that end by themselves",
  async () => {
    await using server = await serve((socket) => {
      let text = "";
      socket.on("data", (chunk) => {
        text += String(chunk);
      });
      socket.on("end", () => socket.end(`heard ${text}`));
    });
    await using host = await FakeHost.start();
    const connection = await connectPort(host, server.port);
    const writer = connection.writable.getWriter();
    await writer.write(new TextEncoder().encode("hello"));
    await writer.close();
    assert.equal(await new Response(connection.readable).text(), "heard hello");
    await connection.closed;
    assert.deepEqual(host.logged, []); // of a connection nothing is logged
  },
  options,
);

test(
  "connect() breaks both streams when the server breaks the connection",
  async () => {
    await using server = await serve((socket) => socket.once("data", () => socket.resetAndDestroy()));
    await using host = await FakeHost.start();
    const connection = await connectPort(host, server.port);
    const writer = connection.writable.getWriter();
    const failed = assert.rejects(writer.closed, isConnectError);
    await writer.write(new Uint8Array([1]));
    await assert.rejects(connection.readable.getReader().read(), isConnectError);
    await failed;
    await assert.rejects(connection.closed, isConnectError);
  },
  options,
);

test(
  "connect() is broken off by close(), by cancelling, and by its signal: the server sees a reset",
  async () => {
    let accepted = Promise.withResolvers<Socket>();
    await using server = await serve((socket) => {
      socket.resume();
      accepted.resolve(socket);
    });
    await using host = await FakeHost.start();
    for (const way of ["close", "cancel", "signal"] as const) {
      accepted = Promise.withResolvers();
      const controller = new AbortController();
      const connection = await connectPort(host, server.port, { signal: controller.signal });
      const socket = await accepted.promise;
      const reset = once(socket, "error");
      if (way === "close") connection.close();
      else if (way === "cancel") await connection.readable.cancel();
      else controller.abort();
      assert.equal((await reset)[0].code, "ECONNRESET");
      await assert.rejects(connection.closed, MicrosandboxError.is);
    }
  },
  options,
);

test(
  "connect() rejects if no program listens, for invalid ports, and after an abort",
  async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    await using host = await FakeHost.start();
    await assert.rejects(connectPort(host, server.port), isConnectError);
    for (const [port, connectOptions] of [
      [0, {}],
      [80, { timeoutMs: 0 }],
      [80, { timeoutMs: 2 ** 31 }],
    ] as const) {
      await assert.rejects(
        connectPort(host, port, connectOptions),
        (error) => MicrosandboxError.is(error) && error.code === "invalidConfig",
      );
    }
    await assert.rejects(
      connectPort(host, 80, { signal: AbortSignal.abort() }),
      (error) => MicrosandboxError.is(error) && error.code === "aborted",
    );
  },
  options,
);

test(
  "connect() ends with the sandbox",
  async () => {
    await using server = await serve(() => {});
    await using host = await FakeHost.start();
    const client = await host.connect();
    const connection = await connectPort({ connect: async () => client }, server.port);
    await host.killGuest();
    client.close();
    await assert.rejects(connection.readable.getReader().read(), MicrosandboxError.is);
    await assert.rejects(connection.closed, MicrosandboxError.is);
  },
  options,
);
