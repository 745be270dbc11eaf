/** HTTP to a guest's server: a native agent, the real relay, and servers of the test's own. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { MicrosandboxError } from "../../../../mod.ts";
import { fetchPort } from "../../../../src/sandbox/network/fetch.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { seededRandom } from "../../../support/random.ts";

/** What the first server tells of a request. */
interface Seen {
  readonly method: string;
  readonly url: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;

async function listen(server: Server): Promise<{ port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {}); // some tests break connections off
    socket.on("close", () => sockets.delete(socket));
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

const serve = (handle: RequestListener) => listen(createHttpServer(handle));

/** A server that answers each connection with `bytes` once it has seen the end of the request's head. */
function answerRaw(bytes: string, end = true) {
  return listen(
    createServer((socket) => {
      let head = "";
      socket.on("data", (chunk) => {
        head += String(chunk);
        if (!head.includes("\r\n\r\n")) return;
        socket.write(bytes, () => {
          if (end) socket.end();
        });
      });
    }),
  );
}

test(
  "fetch() sends method, path, headers and body, and gives the response",
  async () => {
    await using server = await serve((request, response) => {
      let text = "";
      request.on("data", (chunk) => {
        text += String(chunk);
      });
      request.on("end", () => {
        response.writeHead(418, { "set-cookie": ["a=1", "b=2"], "content-type": "application/json" });
        const { method, url, headers } = request;
        response.end(JSON.stringify({ method, url, headers, text }));
      });
    });
    await using host = await FakeHost.start();
    const response = await fetchPort(host, server.port, "/path?query=1", {
      method: "POST",
      body: "content",
      headers: { "x-own": "yes" },
    });
    assert.equal(response.status, 418);
    assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    const seen = (await response.json()) as Seen;
    assert.deepEqual([seen.method, seen.url, seen.text], ["POST", "/path?query=1", "content"]);
    assert.equal(seen.headers["x-own"], "yes");
    assert.equal(seen.headers["host"], `localhost:${server.port}`);
    assert.equal(seen.headers["content-length"], "7");
  },
  options,
);

test(
  "fetch() takes a Request, whose host it tells the server",
  async () => {
    await using server = await serve((request, response) => response.end(request.headers.host));
    await using host = await FakeHost.start();
    const request = new Request("http://virtual.example/");
    const response = await fetchPort(host, server.port, request);
    assert.equal(await response.text(), "virtual.example");
  },
  options,
);

test(
  "fetch() streams a body of any length both ways at once",
  async () => {
    await using server = await serve((request, response) => request.pipe(response));
    await using host = await FakeHost.start();
    const content = seededRandom("an echoed body").bytes(3 * MiB + 1);
    let offset = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (offset === content.length) return controller.close();
        const end = Math.min(offset + 100_000, content.length);
        controller.enqueue(content.subarray(offset, end));
        offset = end;
      },
    });
    const init = { method: "PUT", body, duplex: "half" } as RequestInit;
    const response = await fetchPort(host, server.port, "/", init);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(content));
  },
  options,
);

test(
  "fetch() reads a response no faster than its reader, and tells the server when that has left",
  async () => {
    const closed = Promise.withResolvers<void>();
    let written = 0;
    await using server = await serve((_request, response) => {
      const chunk = Buffer.alloc(MiB, 1);
      const fill = () => {
        while (written < 1024 * MiB) {
          written += chunk.length;
          if (!response.write(chunk)) return response.once("drain", fill);
        }
        return response.end();
      };
      response.on("error", () => {});
      response.on("close", () => closed.resolve());
      fill();
    });
    await using host = await FakeHost.start();
    const response = await fetchPort(host, server.port, "/");
    const reader = response.body!.getReader();
    assert.ok((await reader.read()).value!.length > 0);
    await reader.cancel();
    await closed.promise;
    assert.ok(written < 1024 * MiB);
  },
  options,
);

test(
  "fetch() gives null bodies for HEAD and for the statuses that have none",
  async () => {
    await using server = await serve((request, response) => {
      response.writeHead(Number(request.url?.slice(1)), { "x-seen": request.method });
      response.end();
    });
    await using host = await FakeHost.start();
    for (const [method, status] of [
      ["HEAD", 200],
      ["GET", 204],
      ["GET", 304],
    ] as const) {
      const response = await fetchPort(host, server.port, `/${status}`, { method });
      assert.deepEqual([response.status, response.body], [status, null]);
      assert.equal(response.headers.get("x-seen"), method);
    }
  },
  options,
);

test(
  "fetch() reads a body that only the end of the connection ends",
  async () => {
    await using server = await answerRaw("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    await using host = await FakeHost.start();
    const response = await fetchPort(host, server.port, "/");
    assert.equal(await response.text(), "until the end");
  },
  options,
);

test(
  "fetch() follows no redirects",
  async () => {
    await using server = await serve((_request, response) => {
      response.writeHead(302, { location: "/elsewhere" });
      response.end();
    });
    await using host = await FakeHost.start();
    const response = await fetchPort(host, server.port, "/");
    assert.deepEqual([response.status, response.headers.get("location")], [302, "/elsewhere"]);
  },
  options,
);

const isConnectError = (error: unknown) => MicrosandboxError.is(error) && error.code === "connectFailed";

test(
  "fetch() rejects if no program listens at the port, and says so",
  async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    await using host = await FakeHost.start();
    await assert.rejects(fetchPort(host, server.port, "/"), (error) => {
      assert.ok(isConnectError(error));
      assert.match(String(error), /start a program that listens/);
      return true;
    });
  },
  options,
);

const GARBAGE: Readonly<Record<string, string>> = {
  "no HTTP": "SSH-2.0-OpenSSH_9.6\r\n\r\n",
  "nothing at all": "",
  "a head that is cut off": "HTTP/1.1 200 OK\r\ncontent-le",
  "a head without an end": `HTTP/1.1 200 OK\r\n${"x-filler: 0123456789\r\n".repeat(100_000)}`,
};

for (const [what, bytes] of Object.entries(GARBAGE)) {
  test(
    `fetch() rejects an answer that is ${what}`,
    async () => {
      await using server = await answerRaw(bytes);
      await using host = await FakeHost.start();
      await assert.rejects(fetchPort(host, server.port, "/"), isConnectError);
    },
    options,
  );
}

test(
  "fetch() names a status that is not one of HTTP",
  async () => {
    for (const status of [600, 999]) {
      await using server = await answerRaw(`HTTP/1.1 ${status} Odd\r\ncontent-length: 0\r\n\r\n`);
      await using host = await FakeHost.start();
      await assert.rejects(fetchPort(host, server.port, "/"), {
        code: "connectFailed",
        message: new RegExp(`: invalid HTTP status ${status}$`),
      });
    }
  },
  options,
);

for (const [what, head] of [
  ["has fewer bytes than it said", "content-length: 100\r\n\r\nshort"],
  ["lacks its last chunk", "transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n"],
] as const) {
  test(
    `fetch() breaks the body of a response that ${what}`,
    async () => {
      await using server = await answerRaw(`HTTP/1.1 200 OK\r\n${head}`);
      await using host = await FakeHost.start();
      const response = await fetchPort(host, server.port, "/");
      assert.equal(response.status, 200);
      await assert.rejects(response.text(), isConnectError);
    },
    options,
  );
}

test(
  "fetch() is aborted while it waits for the response, and while it reads it",
  async () => {
    let arrived = Promise.withResolvers<void>();
    let closed = Promise.withResolvers<void>();
    await using server = await serve((request, response) => {
      response.on("close", () => closed.resolve());
      if (request.url === "/body") response.write("some of it");
      arrived.resolve();
    });
    await using host = await FakeHost.start();
    for (const path of ["/never", "/body"]) {
      arrived = Promise.withResolvers();
      closed = Promise.withResolvers();
      const controller = new AbortController();
      const answer = fetchPort(host, server.port, path, { signal: controller.signal });
      const failing = assert.rejects(
        path === "/body" ? answer.then((response) => response.text()) : answer,
        (error) => MicrosandboxError.is(error) && error.code === "aborted",
      );
      await (path === "/body" ? answer : arrived.promise);
      controller.abort(new Error("enough"));
      await failing;
      await closed.promise;
    }
  },
  options,
);

test(
  "fetch() refuses URLs that are not http:, and ports that are none",
  async () => {
    await using host = await FakeHost.start();
    for (const [port, url] of [
      [80, "https://localhost/"],
      [80, "file:///etc/passwd"],
      [0, "/"],
      [65_536, "/"],
      [1.5, "/"],
    ] as const) {
      await assert.rejects(
        fetchPort(host, port, url),
        (error) => MicrosandboxError.is(error) && error.code === "invalidConfig",
      );
    }
  },
  options,
);
