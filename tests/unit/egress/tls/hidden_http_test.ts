/** HTTP that a guest hides behind an ALPN protocol of another kind, so that its requests would not be read. @module */
import assert from "node:assert/strict";
import { connect as connectTls } from "node:tls";
import { InterceptingListener } from "../../../support/egress/intercepting_listener.ts";
import { sandboxAuthority, tlsConfig, tlsOrigin } from "../../../support/egress/origin.ts";
import { received } from "../../../support/egress/raw_client.ts";
import { test } from "../../../support/harness.ts";

for (const [what, alpn] of [
  ["knows no protocols", undefined],
  ["agrees to what the guest offers", ["foo"]],
] as const)
  test(`escape: a request for another host behind a made-up protocol, to a server that ${what}`, async () => {
    let seen = "";
    await using origin = await tlsOrigin(
      (socket) =>
        socket.on("data", (data) => {
          seen += data;
          socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhidden");
        }),
      alpn === undefined ? {} : { alpn: [...alpn] },
    );
    await using listener = await InterceptingListener.open({ tls: tlsConfig(), serverPort: origin.port });
    for (const start of [
      "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
      "GET /\rHTTP/1.1\r\nHost: evil.example\r\n\r\n",
      `GET /${"x".repeat(9000)} HTTP/1.1\r\nHost: evil.example\r\n\r\n`,
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]) {
      const client = connectTls({
        port: listener.port,
        host: "127.0.0.1",
        servername: "api.example",
        ca: sandboxAuthority.certificate,
        ALPNProtocols: ["foo"],
      });
      client.on("error", () => {}); // any end will do
      client.write(start);
      assert.match(
        await received(client, 16).catch(() => "HTTP/1.1 4"),
        /^HTTP\/1\.1 [45]/,
        start.slice(0, 20),
      );
      client.destroy();
    }
    assert.equal(seen, "");
  });

test("escape: HTTP/2 by one of the names that it had", async () => {
  await using origin = await tlsOrigin((socket) => socket.write("settings"), { alpn: ["grpc-exp", "h2-16"] });
  await using listener = await InterceptingListener.open({ tls: tlsConfig(), serverPort: origin.port });
  for (const protocol of ["grpc-exp", "h2-16", "h2-14", "spdy/3.1", "hq-29"]) {
    const client = connectTls({
      port: listener.port,
      host: "127.0.0.1",
      servername: "api.example",
      ca: sandboxAuthority.certificate,
      ALPNProtocols: [protocol],
    });
    client.on("error", () => {});
    assert.equal(await received(client, 8).catch(() => ""), "", protocol);
    client.destroy();
    const last = listener.events.at(-1);
    assert.ok(last?.kind === "blocked" && /no HTTP\/1\.1/.test(last.reason), protocol);
  }
});
