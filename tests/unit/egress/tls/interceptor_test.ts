/** Interception, with curl and openssl as the programs of a guest, and servers of many kinds. @module */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TlsConfig } from "../../../../src/egress/config.ts";
import type { InterceptEvent } from "../../../../src/egress/interceptor.ts";
import { createAuthority } from "../../../../src/egress/tls/authority.ts";
import { InterceptingListener, type ListenerOptions } from "../../../support/egress/intercepting_listener.ts";
import {
  echoRequest,
  httpsOrigin,
  type Origin,
  originAuthority,
  sandboxAuthority,
  tcpOrigin,
  tlsConfig,
  tlsOrigin,
} from "../../../support/egress/origin.ts";
import { authorityFile, curl, program } from "../../../support/egress/programs.ts";
import { rawClient, received, talk } from "../../../support/egress/raw_client.ts";
import { waitUntil } from "../../../support/egress/wait_until.ts";
import { test } from "../../../support/harness.ts";

const URL_OF_API = "https://api.example/some/path?a=b";
const NAME: InterceptEvent = { kind: "name", name: "api.example" };

function listenerFor(origin: Origin, options: Partial<ListenerOptions> = {}): Promise<InterceptingListener> {
  return InterceptingListener.open({ tls: tlsConfig(), serverPort: origin.port, ...options });
}

test("HttpInterceptor lets curl talk to a server, with a certificate of the sandbox's authority", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  for (const words of [[], ["--tls-max", "1.2"], ["--http2"], ["--no-alpn"], ["--http1.0"]]) {
    const { stdout, stderr, status } = await curl(listener, ["-v", ...words, URL_OF_API]);
    assert.equal(status, 200, stderr);
    assert.equal(JSON.parse(stdout).url, "/some/path?a=b");
    assert.match(stderr, /issuer: CN=microsandbox CA/);
  }
  assert.deepEqual(listener.events, new Array(5).fill(NAME));
});

test("HttpInterceptor lets curl talk to an address", async () => {
  await using origin = await httpsOrigin(echoRequest, { host: "127.0.0.1" });
  await using listener = await listenerFor(origin);
  const { stderr, status } = await curl(listener, ["https://127.0.0.1/"]);
  assert.equal(status, 200, stderr);
});

const EXPIRED = { endMs: Date.now() - 60_000 };
for (const [what, options, changes, reason] of [
  ["has expired", EXPIRED, {}, /CERT_HAS_EXPIRED|UNABLE_TO_VERIFY/], // the latter is what Deno says
  ["is another one", { host: "other.example" }, {}, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ["is signed by no authority that is known", {}, { upstreamCaCerts: [] }, /SELF_SIGNED|UNABLE_TO|ISSUER/],
  [
    "is signed by an authority for other hosts",
    {},
    { upstreamCaCerts: [{ pattern: "*.example.net", pem: originAuthority.certificate }] },
    /SELF_SIGNED|UNABLE_TO|ISSUER/,
  ],
] as const)
  test(`HttpInterceptor answers 502 with the reason if the server's certificate ${what}`, async () => {
    await using origin = await httpsOrigin(echoRequest, options);
    await using listener = await listenerFor(origin, { tls: tlsConfig(changes as Partial<TlsConfig>) });
    const { stdout, status } = await curl(listener, [URL_OF_API]);
    assert.equal(status, 502);
    assert.match(stdout, /^microsandbox: the TLS of the server cannot be trusted: /);
    assert.match(stdout, reason);
    assert.equal(listener.events.at(-1)?.kind, "upstreamError");
  });

test("HttpInterceptor does not verify where it is told not to, and only there", async () => {
  await using origin = await httpsOrigin(echoRequest, { host: "other.example" });
  const scopedVerifyUpstream = [{ pattern: "*.example", verify: false }];
  await using listener = await listenerFor(origin, {
    tls: tlsConfig({ scopedVerifyUpstream, upstreamCaCerts: [] }),
  });
  assert.equal((await curl(listener, [URL_OF_API])).status, 200);
  assert.equal((await curl(listener, ["https://api.example.net/"])).status, 502);
});

test("HttpInterceptor passes TLS of bypassed hosts unread", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await listenerFor(origin, { tls: tlsConfig({ bypass: ["*.example"] }) });
  const words = ["s_client", "-connect", `127.0.0.1:${listener.port}`, "-servername", "api.example"];
  const { stdout } = await program("openssl", words);
  assert.match(stdout, /subject=CN = api\.example/);
  const issuer = /issuer=CN = (microsandbox CA \w+)/.exec(stdout)?.[1] ?? "";
  const described = await program("openssl", ["x509", "-noout", "-subject"], {
    input: originAuthority.certificate,
  });
  assert.match(described.stdout, new RegExp(issuer));
  assert.deepEqual(listener.events, [NAME]);
});

test("HttpInterceptor refuses a name that is denied, also where it is bypassed", async () => {
  await using origin = await httpsOrigin(echoRequest);
  for (const bypass of [[], ["*"]]) {
    const deniedNames = ["api.example"];
    await using listener = await listenerFor(origin, { tls: tlsConfig({ bypass }), deniedNames });
    assert.notEqual((await curl(listener, [URL_OF_API])).exitCode, 0);
    assert.deepEqual(listener.events, [
      NAME,
      { kind: "blocked", reason: "api.example is denied", name: "api.example" },
    ]);
  }
});

test("HttpInterceptor asks about TLS without a name as such", async () => {
  await using origin = await httpsOrigin(echoRequest, { host: "127.0.0.1" });
  await using listener = await listenerFor(origin, { deniedNames: ["nameless"] });
  assert.notEqual((await curl(listener, ["https://127.0.0.1/"])).exitCode, 0);
  assert.deepEqual(listener.events, [{ kind: "blocked", reason: "nameless is denied", name: undefined }]);
});

test("HttpInterceptor refuses a Host that is not the name of the connection", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  for (const host of ["evil.example", "api.example:8443", "127.0.0.1"]) {
    const { stdout, status } = await curl(listener, ["-H", `Host: ${host}`, URL_OF_API]);
    assert.equal(status, 421, stdout);
    assert.equal(listener.events.at(-1)?.kind, "blocked");
  }
  assert.equal((await curl(listener, ["-H", "Host: API.example:443", URL_OF_API])).status, 200);
});

test("HttpInterceptor refuses a client that speaks HTTP/2 alone with an alert", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  const words = ["-connect", `127.0.0.1:${listener.port}`, "-servername", "api.example", "-alpn", "h2"];
  const { stderr } = await program("openssl", ["s_client", ...words]);
  assert.match(stderr, /alert no application protocol/);
});

test("HttpInterceptor tells of a client that does not trust the sandbox's authority", async () => {
  await using origin = await httpsOrigin(echoRequest);
  const { certificate: caCert, key: caKey } = createAuthority();
  await using listener = await listenerFor(origin, { tls: tlsConfig({ caCert, caKey }) });
  assert.equal((await curl(listener, [URL_OF_API])).exitCode, 60);
  await waitUntil(() => listener.open === 0);
  const last = listener.events.at(-1);
  assert.ok(
    last?.kind === "blocked" && /trust the sandbox's authority/.test(last.reason),
    JSON.stringify(last),
  );
});

test("HttpInterceptor refuses invalid TLS", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await listenerFor(origin);
  const answer = await talk(listener.port, [Uint8Array.of(0x16, 3, 1, 0, 1, 2)]);
  assert.equal(answer, "");
  assert.equal(listener.events.at(-1)?.kind, "blocked");
});

test("HttpInterceptor lets a server speak first, without TLS", async () => {
  await using origin = await tcpOrigin((socket) => {
    socket.write("220 ready\r\n");
    socket.on("data", (data) => socket.end(`got ${data}`));
  });
  await using listener = await listenerFor(origin);
  const client = rawClient(listener.port);
  assert.equal(await received(client, 11), "220 ready\r\n");
  client.write("QUIT");
  assert.equal(await received(client, 8), "got QUIT");
  client.destroy();
});

test("HttpInterceptor lets a server speak first, inside TLS", async () => {
  await using origin = await tlsOrigin((socket) => {
    socket.write("220 ready\r\n");
    socket.on("data", (data) => socket.end(`got ${data}`));
  });
  await using listener = await listenerFor(origin);
  const client = connectTls({
    port: listener.port,
    host: "127.0.0.1",
    servername: "api.example",
    ca: sandboxAuthority.certificate,
  });
  assert.equal(await received(client, 11), "220 ready\r\n");
  client.write("QUIT");
  assert.equal(await received(client, 8), "got QUIT");
  client.destroy();
});

test("HttpInterceptor passes other protocols that a client begins, with their ALPN", async () => {
  await using origin = await tlsOrigin((socket) => socket.on("data", (data) => socket.end(`got ${data}`)), {
    alpn: ["imap", "other"],
  });
  await using listener = await listenerFor(origin);
  const client = connectTls({
    port: listener.port,
    host: "127.0.0.1",
    servername: "api.example",
    ca: sandboxAuthority.certificate,
    ALPNProtocols: ["other"],
  });
  client.write("a1 LOGIN\r\n");
  assert.equal(await received(client, 14), "got a1 LOGIN\r\n");
  assert.equal(client.alpnProtocol, "other");
  client.destroy();
});

/** A server that answers once the client has ended. */
function answerLate(socket: Socket): void {
  let got = "";
  socket.on("data", (data) => {
    got += data;
  });
  socket.on("end", () => socket.end(`got ${got}`));
}

test("HttpInterceptor keeps a half-closed connection open, without TLS", async () => {
  await using plain = await tcpOrigin(answerLate);
  await using plainListener = await listenerFor(plain);
  const client = connect({ port: plainListener.port, host: "127.0.0.1", allowHalfOpen: true });
  client.end("hello\n");
  assert.equal(await received(client, 10), "got hello\n");
  client.destroy();
});

const isBun = "Bun" in globalThis;
test(
  "HttpInterceptor keeps a half-closed connection open, inside TLS",
  async () => {
    await using secured = await tlsOrigin(answerLate);
    await using listener = await listenerFor(secured);
    const script = [
      "import socket, ssl, sys",
      "context = ssl.create_default_context(cafile=sys.argv[1])",
      "inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()",
      "tls = context.wrap_bio(inner, outer, server_hostname='api.example')",
      "raw = socket.create_connection(('127.0.0.1', int(sys.argv[2])))",
      "def run(step):",
      "    while True:",
      "        try:",
      "            result = step()",
      "            raw.sendall(outer.read())",
      "            return result",
      "        except ssl.SSLWantReadError:",
      "            raw.sendall(outer.read())",
      "            inner.write(raw.recv(65536))",
      "run(tls.do_handshake)",
      "run(lambda: tls.write(b'hello\\n'))",
      "try:",
      "    tls.unwrap()", // sends the end of this side, and does not wait for the other's
      "except ssl.SSLWantReadError:",
      "    pass",
      "raw.sendall(outer.read())",
      "print(run(lambda: tls.read(100)).decode(), end='')",
    ].join("\n");
    const { stdout, stderr } = await program("python3", [
      "-c",
      script,
      authorityFile(),
      String(listener.port),
    ]);
    assert.equal(stdout, "got hello\n", stderr);
  },
  { skip: isBun ? "the TLS of Bun ends both directions at once" : undefined },
);

test("HttpInterceptor passes no other protocol where hooks want to see all", async () => {
  await using origin = await tcpOrigin((socket) => socket.write("220 ready\r\n"));
  await using listener = await listenerFor(origin, { hooks: {} });
  assert.equal(await talk(listener.port, []), "");
  const last = listener.events.at(-1);
  assert.ok(last?.kind === "blocked" && /no HTTP/.test(last.reason));
});

test("HttpInterceptor does not take a hidden request for another protocol", async () => {
  await using origin = await tcpOrigin((socket) => socket.on("data", (data) => socket.end(`got ${data}`)));
  await using listener = await listenerFor(origin, { deniedNames: ["evil.example"] });
  for (const start of ["\r\n\n ", "\t", "X Y Z ", "get ", "GET /"]) {
    const answer = await talk(listener.port, [
      Buffer.from(start),
      Buffer.from(" HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    ]);
    assert.match(answer, /^HTTP\/1\.1 4/, start);
  }
});

test("HttpInterceptor ends its connections when the flow has to end", async () => {
  await using origin = await tcpOrigin((socket) => socket.write("220 ready\r\n"));
  await using listener = await listenerFor(origin);
  const client = rawClient(listener.port);
  await received(client, 11);
  listener.stopping.abort();
  await waitUntil(() => listener.open === 0 && client.destroyed);
});

test("HttpInterceptor wants the ports that are read, and port 80 where there is something to do", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using plain = await listenerFor(origin);
  await using hooked = await listenerFor(origin, { hooks: {} });
  const wants = ({ interceptor }: InterceptingListener, nameMatters: boolean) =>
    [80, 443, 8443].filter((port) => interceptor.wants({ address: "127.0.0.1", port }, nameMatters));
  assert.deepEqual(wants(plain, false), [443]);
  assert.deepEqual(wants(plain, true), [80, 443]);
  assert.deepEqual(wants(hooked, false), [80, 443]);
});
