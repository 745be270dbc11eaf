/** Hooks between a client and a server: they see requests and responses, and may answer or change them. @module */
import assert from "node:assert/strict";
import type { HttpHooks } from "../../../../src/egress/http/hooks.ts";
import { InterceptingListener } from "../../../support/egress/intercepting_listener.ts";
import { echoRequest, httpOrigin } from "../../../support/egress/origin.ts";
import { curl } from "../../../support/egress/programs.ts";
import { rawClient, received } from "../../../support/egress/raw_client.ts";
import { secret } from "../../../support/egress/secrets.ts";
import { test } from "../../../support/harness.ts";

/** Runs curl through hooks to a server that echoes the request, or answers otherwise. */
async function through(
  hooks: HttpHooks,
  words: string[],
  options: { secrets?: ReturnType<typeof secret>[] } = {},
) {
  await using origin = await httpOrigin(echoRequest);
  await using listener = await InterceptingListener.open({
    serverPort: origin.port,
    guestPort: 80,
    hooks,
    ...options,
  });
  const output = await curl(listener, ["-i", ...words, "http://api.example/path?a=b"]);
  const [head = "", body = ""] = output.stdout.split("\r\n\r\n");
  return { ...output, head, body, events: listener.events, connections: listener.connections };
}

test("onRequest and onResponse see what passes, and change nothing by returning nothing", async () => {
  const seen: unknown[] = [];
  const { status, body } = await through(
    {
      onRequest(request) {
        seen.push(
          request.method,
          request.url,
          request.headers.get("x-a"),
          request.headers.get("content-length"),
        );
      },
      async onResponse(response, request) {
        seen.push(response.status, response.headers.get("content-type"), request.url);
      },
    },
    ["-d", "hello", "-H", "X-A: 1"],
  );
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).body, "hello");
  const url = "http://api.example/path?a=b";
  assert.deepEqual(seen, ["POST", url, "1", null, 200, "application/json", url]);
});

test("onRequest answers in place of the server", async () => {
  const onRequest = (request: Request) =>
    request.method === "DELETE"
      ? new Response("not from in here", { status: 403, headers: { "X-By": "hook" } })
      : undefined;
  const { status, head, body } = await through({ onRequest }, ["-X", "DELETE"]);
  assert.equal(status, 403);
  assert.equal(body, "not from in here");
  assert.match(head, /x-by: hook/i);
  assert.match(head, /Content-Length: 16/);
});

test("onRequest returns another request: method, path, headers and body", async () => {
  const onRequest = async (request: Request) =>
    new Request("http://api.example/other?x", {
      method: "PUT",
      headers: { "X-B": "2" },
      body: (await request.text()).toUpperCase(),
    });
  const { body } = await through({ onRequest }, ["-d", "hello"]);
  const got = JSON.parse(body);
  assert.deepEqual([got.method, got.url, got.body], ["PUT", "/other?x", "HELLO"]);
  const fields = got.rawHeaders.map((text: string) => text.toLowerCase());
  assert.ok(fields.includes("x-b") && fields.includes("content-length") && fields.includes("api.example"));
});

test("onRequest adds a header and leaves the body as it is", async () => {
  const onRequest = (request: Request) => {
    const headers = new Headers(request.headers);
    headers.set("x-added", "yes");
    return new Request(request, { headers });
  };
  const large = "x".repeat(3 * 2 ** 20);
  for (const words of [
    ["-d", "hello"],
    ["--data-binary", "@-"],
  ]) {
    await using origin = await httpOrigin(echoRequest);
    await using listener = await InterceptingListener.open({
      serverPort: origin.port,
      guestPort: 80,
      hooks: { onRequest },
    });
    const { stdout } = await curl(listener, [...words, "http://api.example/"], large);
    const got = JSON.parse(stdout);
    assert.equal(got.body, words[0] === "-d" ? "hello" : large);
    assert.ok(got.rawHeaders.map((text: string) => text.toLowerCase()).includes("x-added"));
  }
});

test("onResponse returns another response", async () => {
  const onResponse = async (response: Response) =>
    new Response((await response.text()).length > 0 ? "changed" : "", {
      status: 201,
      headers: response.headers,
    });
  const { status, head, body } = await through({ onResponse }, []);
  assert.equal(status, 201);
  assert.match(head, /Content-Length: 7/);
  assert.equal(body, "changed");
});

test("hooks see placeholders, and no values that come back", async () => {
  const seen: (string | null)[] = [];
  const secrets = [secret("KEY", { requireTlsIdentity: false })];
  const { body } = await through(
    {
      onRequest(request) {
        seen.push(request.headers.get("authorization"));
      },
    },
    ["-H", "Authorization: Bearer $MSB_KEY"],
    { secrets },
  );
  assert.deepEqual(seen, ["Bearer $MSB_KEY"]);
  assert.match(body, /Bearer \*{12}/);
});

for (const [what, hooks, words] of [
  ["throws", { onRequest: () => Promise.reject(new Error("secret words")) }, []],
  ["returns a request to another origin", { onRequest: () => new Request("http://evil.example/") }, []],
  ["returns something else", { onRequest: () => "text" as unknown as Response }, []],
  [
    "reads the body and returns nothing",
    { onRequest: async (request: Request) => void (await request.text()) },
    ["-d", "a"],
  ],
  ["throws in onResponse", { onResponse: () => Promise.reject(new Error("secret words")) }, []],
  [
    "reads the response and returns nothing",
    { onResponse: async (response: Response) => void (await response.text()) },
    [],
  ],
] as [string, HttpHooks, string[]][])
  test(`the guest gets 502 when a hook ${what}, and the log the reason`, async () => {
    const { status, body, events } = await through(hooks, words);
    assert.equal(status, 502);
    assert.match(body, /^microsandbox: (?:a hook|on(?:Request|Response)) /);
    assert.doesNotMatch(body, /secret words/);
    assert.equal(events.at(-1)?.kind, "upstreamError");
  });

test("a request that cannot be shown to onRequest is refused", async () => {
  const { status } = await through({ onRequest: () => undefined }, ["-X", "GET", "-d", "body"]);
  assert.equal(status, 400);
});

test("a hook may read a body that the client waits to send", async () => {
  const onRequest = async (request: Request) =>
    new Request(request.url, { method: "POST", body: String((await request.text()).length) });
  const { body, stdout } = await through({ onRequest }, [
    "-H",
    "Expect: 100-continue",
    "-d",
    "x".repeat(5000),
  ]);
  assert.match(body, /^HTTP\/1\.1 200/); // behind the head of 100 Continue
  assert.match(stdout, /"body":"5000"/);
});

test("onResponse may change the head of events, which come as they are sent", async () => {
  const { promise: asked, resolve: goOn } = Promise.withResolvers<void>();
  await using origin = await httpOrigin(async (_request, response) => {
    response.write("data: 1\n\n");
    await asked;
    response.end("data: 2\n\n");
  });
  const hooks = {
    onResponse: (response: Response) => new Response(response.body, { headers: { "X-By": "hook" } }),
  };
  await using listener = await InterceptingListener.open({ serverPort: origin.port, guestPort: 80, hooks });
  const client = rawClient(listener.port);
  client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let text = await received(client, 90);
  goOn(); // only now the server sends the next
  text += await received(client, 1000);
  assert.match(text, /x-by: hook.*data: 1\n.*data: 2\n/is);
});

test("the server gets the path that the hook saw", async () => {
  let seen = "";
  const onRequest = (request: Request) => {
    seen = new URL(request.url).pathname;
  };
  await using origin = await httpOrigin(echoRequest);
  await using listener = await InterceptingListener.open({
    serverPort: origin.port,
    guestPort: 80,
    hooks: { onRequest },
  });
  for (const path of ["/x/../admin", "/x/%2e%2e/admin", "/./admin"]) {
    const { stdout } = await curl(listener, ["--path-as-is", `http://api.example${path}?q`]);
    assert.deepEqual([seen, JSON.parse(stdout).url], ["/admin", "/admin?q"]);
  }
});

test("a request with a body of no bytes is one without", async () => {
  const { status } = await through({ onRequest: () => undefined }, ["-H", "Content-Length: 0"]);
  assert.equal(status, 200);
});
