/** The proxy between a client and a server, over HTTP without TLS: framing, connections, and what it refuses. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { InterceptingListener, type ListenerOptions } from "../../../support/egress/intercepting_listener.ts";
import { echoRequest, httpOrigin, type Origin, tcpOrigin } from "../../../support/egress/origin.ts";
import { curl, program } from "../../../support/egress/programs.ts";
import { rawClient, received, talk } from "../../../support/egress/raw_client.ts";
import { waitUntil } from "../../../support/egress/wait_until.ts";
import { test } from "../../../support/harness.ts";

const BODY_MIB = Number(process.env["MSB_EGRESS_BODY_MIB"] ?? 64);
const MiB = 2 ** 20;

function listenerFor(origin: Origin, options: Partial<ListenerOptions> = {}): Promise<InterceptingListener> {
  return InterceptingListener.open({ serverPort: origin.port, guestPort: 80, ...options });
}

/** A server that answers every request with this, and records what it got. */
async function scripted(...answers: string[]): Promise<{ origin: Origin; got: string[] }> {
  const got: string[] = [];
  const origin = await tcpOrigin((socket) => {
    const index = got.push("") - 1;
    socket.on("data", (data) => {
      got[index] += data.toString("latin1");
      const answer = answers.shift();
      if (answer === undefined) socket.destroy();
      else if (answer.endsWith("<end>")) socket.end(answer.slice(0, -5), "latin1");
      else socket.write(answer, "latin1");
    });
    socket.on("end", () => socket.end());
  });
  return { origin, got };
}

const GET = "GET /1 HTTP/1.1\r\nHost: api.example\r\n\r\n";
const CLOSE = "Connection: close\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

test("serveHttp() serves requests that are sent ahead, over one connection to the server", async () => {
  await using origin = await httpOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  const requests = [1, 2, 3].map(
    (number) => `GET /${number} HTTP/1.1\r\nHost: api.example\r\n${number === 3 ? CLOSE : ""}\r\n`,
  );
  const answer = await talk(listener.port, [requests.join("")]);
  assert.deepEqual(
    [...answer.matchAll(/"url":"([^"]+)"/g)].map((match) => match[1]),
    ["/1", "/2", "/3"],
  );
  assert.equal(listener.connections, 1);
});

test("serveHttp() writes a request again, without what is for one connection only", async () => {
  const { origin, got } = await scripted(OK);
  await using _ = origin;
  await using listener = await listenerFor(origin);
  const lines = [
    "POST http://API.example/a?b HTTP/1.1",
    "x-First:   1  ",
    "Connection: close, X-Hop",
    "X-Hop: 2",
    "Keep-Alive: timeout=5",
    "TE: trailers",
    "Upgrade: h2c",
    "Host: API.example",
    "Transfer-Encoding: chunked",
    "X-Last: 3",
  ];
  await talk(listener.port, [`${lines.join("\r\n")}\r\n\r\n4;ext=1\r\nwiki\r\n0\r\nX-Sum: 4\r\n\r\n`]);
  assert.equal(
    got[0],
    "POST /a?b HTTP/1.1\r\nHost: API.example\r\nx-First: 1\r\nX-Last: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\nX-Sum: 4\r\n\r\n",
  );
});

test("serveHttp() answers HTTP/1.0 and HEAD as they have to be", async () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
  const { origin } = await scripted(chunked, OK, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
  await using _ = origin;
  await using listener = await listenerFor(origin);
  const old = await talk(listener.port, ["GET / HTTP/1.0\r\nHost: api.example\r\n\r\n"]);
  assert.equal(old, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok");
  const kept = await talk(listener.port, [
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    `HEAD / HTTP/1.1\r\nHost: a\r\n${CLOSE}\r\n`,
  ]);
  assert.equal(
    kept,
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok" +
      "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
  );
});

test("serveHttp() passes bodies without a length on in chunks", async () => {
  const { origin } = await scripted("HTTP/1.1 200 OK\r\n\r\nuntil the end<end>", OK);
  await using _ = origin;
  await using listener = await listenerFor(origin);
  const answer = await talk(listener.port, [GET, GET.replace("\r\n\r\n", `\r\n${CLOSE}\r\n`)]);
  assert.match(
    answer,
    /^HTTP\/1\.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nuntil the end\r\n0\r\n\r\nHTTP\/1\.1 200 OK/,
  );
  assert.equal(listener.connections, 2);
});

for (const [what, request, status] of [
  [
    "both framings",
    `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${GET}`,
    400,
  ],
  ["a bare line feed", `GET / HTTP/1.1\nHost: a\n\n`, 400],
  ["a space before the colon", `POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 40\r\n\r\n${GET}`, 400],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["another authority in the target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 421],
  ["CONNECT", "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 405],
  ["another port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", 421],
  ["a denied name", "GET / HTTP/1.1\r\nHost: denied.example\r\n\r\n", 403],
  ["an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", 417],
  ["HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
] as const)
  test(`serveHttp() refuses ${what}, and what follows it`, async () => {
    const { origin, got } = await scripted(OK);
    await using _ = origin;
    await using listener = await listenerFor(origin, { deniedNames: ["denied.example"] });
    const answer = await talk(listener.port, [request, GET]);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} .*\\r\\nContent-Type: text/plain`));
    assert.equal(answer.match(/HTTP\/1\.1 \d/g)?.length, 1);
    assert.deepEqual(got.join(""), "");
    assert.equal(listener.events.at(-1)?.kind, "blocked");
  });

for (const [what, answer] of Object.entries({
  "no HTTP": "SSH-2.0-x\r\n\r\n",
  "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
  "both framings": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a protocol that was not asked for": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
  nothing: "<end>",
}))
  test(`serveHttp() answers 502 to a server that sends ${what}`, async () => {
    const { origin } = await scripted(answer);
    await using _ = origin;
    await using listener = await listenerFor(origin);
    assert.match(await talk(listener.port, [GET]), /^HTTP\/1\.1 502 Bad Gateway/);
    assert.equal(listener.events.at(-1)?.kind, "upstreamError");
  });

test("serveHttp() breaks the response off if the server does", async () => {
  const { origin } = await scripted("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok<end>");
  await using _ = origin;
  await using listener = await listenerFor(origin);
  assert.match(await talk(listener.port, [GET]), /Content-Length: 9\r\n\r\n(?:ok)?$/);
});

test("serveHttp() does not take bytes that no request asked for as the next answer", async () => {
  const { origin } = await scripted(`${OK}HTTP/1.1 200 Smuggled\r\nContent-Length: 0\r\n\r\n`, OK);
  await using _ = origin;
  await using listener = await listenerFor(origin);
  const answer = await talk(listener.port, [GET, GET.replace("\r\n\r\n", `\r\n${CLOSE}\r\n`)]);
  assert.doesNotMatch(answer, /Smuggled/);
  assert.equal(listener.connections, 2);
});

test("serveHttp() sends a request again that met a closed connection", async () => {
  let requests = 0;
  await using origin = await tcpOrigin((socket) =>
    socket.on("data", () => {
      // It says nothing of closing, and closes when the next request is on its way.
      if (socket.bytesWritten > 0) return void socket.destroy();
      requests++;
      socket.write(OK);
    }),
  );
  await using listener = await listenerFor(origin);
  const client = rawClient(listener.port);
  for (let number = 1; number <= 3; number++) {
    client.write(GET);
    assert.match(await received(client, 40), /^HTTP\/1\.1 200/);
    assert.equal(requests, number);
  }
  client.destroy();
  const answer = await talk(listener.port, [GET, GET.replace("GET", "POST")]);
  assert.match(answer, /^HTTP\/1\.1 200.*HTTP\/1\.1 502/s);
});

test("serveHttp() waits with a body until the server wants it, and passes an early answer on", async () => {
  const { origin, got } = await scripted("HTTP/1.1 100 Continue\r\n\r\n", OK);
  await using _ = origin;
  await using listener = await listenerFor(origin);
  const head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  const client = rawClient(listener.port);
  client.write(head);
  assert.equal(await received(client, 25), "HTTP/1.1 100 Continue\r\n\r\n");
  client.write("body");
  assert.match(await received(client, 40), /^HTTP\/1\.1 200 OK\r\nContent-Length: 2\r\n\r\nok/);
  assert.match(got[0] ?? "", /Expect: 100-continue.*\r\n\r\nbody$/s);
  client.destroy();
  const refusing = await scripted("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  await using __ = refusing.origin;
  await using other = await listenerFor(refusing.origin);
  assert.match(await talk(other.port, [head]), /^HTTP\/1\.1 413 Too Large\r\n.*Connection: close/s);
});

test("serveHttp() passes events on as they come", async () => {
  const { promise: asked, resolve: goOn } = Promise.withResolvers<void>();
  await using origin = await httpOrigin(async (_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("data: 1\n\n");
    await asked;
    response.end("data: 2\n\n");
  });
  await using listener = await listenerFor(origin);
  const client = rawClient(listener.port);
  client.write(GET);
  let text = "";
  for await (const line of createInterface({ input: client })) {
    text += `${line}\n`;
    if (line === "data: 1") goOn(); // only now the server sends the next
    if (line === "data: 2") break;
  }
  client.destroy();
  assert.match(text, /data: 1\n.*data: 2/s);
});

test("serveHttp() passes a WebSocket on, both ways, and no other protocol", async () => {
  await using origin = await tcpOrigin((socket) => {
    socket.on("end", () => socket.end());
    socket.on("data", (data) => {
      const text = data.toString("latin1");
      if (!text.startsWith("GET")) socket.write(`echo ${text}`);
      else if (/Upgrade: websocket/.test(text))
        socket.write("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nearly");
      else
        socket.write(
          `HTTP/1.1 200 ${/upgrade/i.test(text) ? "Upgraded" : "Plain"}\r\nContent-Length: 0\r\n\r\n`,
        );
    });
  });
  await using listener = await listenerFor(origin);
  const client = rawClient(listener.port);
  const upgrade = (protocol: string) =>
    `GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`;
  client.write(upgrade("h2c"));
  assert.match(await received(client, 30), /^HTTP\/1\.1 200 Plain/);
  client.write(upgrade("WebSocket"));
  assert.match(await received(client, 72), /^HTTP\/1\.1 101 Switching\r\n.*early$/s);
  client.write("frame");
  assert.equal(await received(client, 10), "echo frame");
  client.destroy();
  await waitUntil(() => listener.open === 0);
});

test(
  `serveHttp() carries ${BODY_MIB} MiB up and down, with curl, without holding them`,
  async () => {
    const hash = createHash("sha256");
    const piece = Buffer.alloc(MiB, "0123456789abcdef");
    for (let count = 0; count < BODY_MIB; count++) hash.update(piece);
    const wanted = hash.digest("hex");
    await using origin = await httpOrigin((request, response) => {
      if (request.method === "GET") {
        let left = BODY_MIB;
        const send = (): void => {
          while (left-- > 0) if (!response.write(piece)) return void response.once("drain", send);
          response.end();
        };
        return send();
      }
      const received = createHash("sha256");
      request.on("data", (data) => received.update(data));
      request.on("end", () => response.end(received.digest("hex")));
    });
    await using listener = await listenerFor(origin);
    const url = "http://api.example/";
    const shell = (script: string) => ["-c", script, "sh", String(listener.port), url, String(BODY_MIB)];

    const down = await program("sh", shell('curl -sS --connect-to "::127.0.0.1:$1" "$2" | sha256sum'));
    assert.equal(down.stdout.slice(0, 64), wanted, down.stderr);
    const source = `i=0; while [ $i -lt $(($3 * 1024)) ]; do printf %s "$line"; i=$((i + 1)); done`;
    const line = "line=$(i=0; while [ $i -lt 64 ]; do printf 0123456789abcdef; i=$((i + 1)); done);";
    const upload = `curl -sS -T - --connect-to "::127.0.0.1:$1" "$2"`;
    const up = await program("sh", shell(`${line} { ${source}; } | ${upload}`));
    assert.equal(up.stdout, wanted, up.stderr);
  },
  { timeoutMs: 600_000 },
);

test("serveHttp() lets curl use one connection for many requests", async () => {
  await using origin = await httpOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  const { stdout, status } = await curl(listener, ["-d", "a=b", "http://api.example/[1-20]"]);
  assert.equal(status, 200);
  assert.equal(stdout.match(/"body":"a=b"/g)?.length, 20);
  assert.equal(listener.connections, 1);
});
