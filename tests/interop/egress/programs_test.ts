/**
 * Programs of many kinds through interception, as a guest would run them: with the sandbox's authority from its files or
 * variables, and a secret in a header. Every connection leads to the interceptor by the program's own proxy-less options,
 * or by a name that is made to mean loopback.
 */
import assert from "node:assert/strict";
import { createReadStream, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../../src/platform/find_program.ts";
import { InterceptingListener } from "../../support/egress/intercepting_listener.ts";
import { echoRequest, httpsOrigin, tlsConfig } from "../../support/egress/origin.ts";
import { authorityFile, program } from "../../support/egress/programs.ts";
import { secret } from "../../support/egress/secrets.ts";
import { webSocketOrigin } from "../../support/egress/web_socket_origin.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const secrets = [secret("KEY", { allowedHosts: ["localhost"] })];

/** A name that every program resolves to loopback. */
async function listenerFor(handle: Parameters<typeof httpsOrigin>[0]) {
  const origin = await httpsOrigin(handle, { host: "localhost" });
  const listener = await InterceptingListener.open({
    tls: tlsConfig(),
    serverPort: origin.port,
    secrets,
    guestPort: 0,
  });
  return {
    listener,
    url: `https://localhost:${listener.port}`,
    async [Symbol.asyncDispose]() {
      await listener[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

function missing(name: string): string | undefined {
  return findProgram(name) === undefined ? `no ${name} in PATH` : undefined;
}

/** The Authorization that the server got, from an answer of {@linkcode echoRequest}. */
function authorizationIn(text: string): string {
  const { rawHeaders } = JSON.parse(text);
  const index = rawHeaders.findIndex((field: string) => field.toLowerCase() === "authorization");
  return rawHeaders[index + 1];
}

const MASKED = `Bearer ${"*".repeat(12)}`;

test(
  "wget downloads, with the authority by its option",
  async () => {
    await using at = await listenerFor(echoRequest);
    const words = [
      "-q",
      "-O",
      "-",
      `--ca-certificate=${authorityFile()}`,
      "--header=Authorization: Bearer $MSB_KEY",
      `${at.url}/file`,
    ];
    const { stdout, stderr } = await program("wget", words);
    assert.equal(authorizationIn(stdout), MASKED, stderr);
  },
  { missing: missing("wget") },
);

test(
  "python downloads and uploads, with the authority by SSL_CERT_FILE",
  async () => {
    await using at = await listenerFor(echoRequest);
    const script = [
      "import http.client, json, ssl, sys, urllib.request",
      "url = sys.argv[1]",
      "headers = {'Authorization': 'Bearer $MSB_KEY'}",
      "request = urllib.request.Request(url + '/up', data=b'x' * 100000, headers=headers)",
      "print(json.dumps(len(json.load(urllib.request.urlopen(request))['body'])))",
      "host, port = url[8:].split(':')",
      "kept = http.client.HTTPSConnection(host, int(port))",
      "for number in range(3):",
      "    kept.request('POST', '/%d' % number, iter([b'ab', b'cd']), headers, encode_chunked=True)",
      "    print(kept.getresponse().read().decode())",
      "try:",
      "    import requests",
      "    print(requests.put(url, data='abcd', headers=headers).text)",
      "except ImportError:",
      "    print(urllib.request.urlopen(urllib.request.Request(url, b'abcd', headers)).read().decode())",
    ].join("\n");
    const env = { SSL_CERT_FILE: authorityFile(), REQUESTS_CA_BUNDLE: authorityFile() };
    const { stdout, stderr } = await program("python3", ["-c", script, at.url], { env });
    const [length, ...answers] = stdout.trim().split("\n");
    assert.equal(length, "100000", stderr);
    assert.deepEqual(answers.map(authorizationIn), new Array(4).fill(MASKED));
    assert.deepEqual(
      answers.map((answer) => JSON.parse(answer).body),
      new Array(4).fill("abcd"),
    );
  },
  { missing: missing("python3") },
);

test(
  "node fetches, many at once, with the authority by NODE_EXTRA_CA_CERTS",
  async () => {
    await using at = await listenerFor(echoRequest);
    const script = `
    const one = async (number) => {
      const response = await fetch(process.argv[1] + "/" + number, { method: "POST", body: "n".repeat(number * 1000),
        headers: { Authorization: "Bearer $MSB_KEY" } });
      const { url, body } = await response.json();
      return url === "/" + number && body.length === number * 1000;
    };
    Promise.all(Array.from({ length: 50 }, (_, number) => one(number))).then((all) => console.log(all.every(Boolean)));
  `;
    const env = { NODE_EXTRA_CA_CERTS: authorityFile() };
    const { stdout, stderr } = await program("node", ["-e", script, at.url], { env });
    assert.equal(stdout, "true\n", stderr);
  },
  { missing: missing("node") },
);

test("the WebSocket of this runtime talks through interception, with a secret in its handshake", async () => {
  const seen: (string | undefined)[] = [];
  await using origin = await webSocketOrigin((request) => seen.push(request.url));
  const injection = { headers: true, basicAuth: true, queryParams: true, body: false };
  await using listener = await InterceptingListener.open({
    tls: tlsConfig(),
    serverPort: origin.port,
    secrets: [secret("KEY", { allowedHosts: ["localhost"], injection })],
    guestPort: 0,
  });
  using directory = temporaryDirectory();
  const file = join(directory.path, "client.mjs");
  writeFileSync(
    file,
    `const socket = new WebSocket(process.argv.at(-1));
     let got = 0;
     socket.onopen = () => { for (let number = 0; number < 100; number++) socket.send("x".repeat(number * 10)); };
     socket.onmessage = ({ data }) => { if (data.length === got * 10 && ++got === 100) socket.close(); };
     socket.onerror = (event) => { console.log("error", event.message); process.exit(1); };
     socket.onclose = () => { console.log(got); process.exit(0); };`,
  );
  const words = "Bun" in globalThis ? [file] : ["run", "--allow-all", "--no-check", file];
  const env = { NODE_EXTRA_CA_CERTS: authorityFile(), DENO_CERT: authorityFile() };
  const url = `wss://localhost:${listener.port}/chat?key=$MSB_KEY`;
  const { stdout, stderr } = await program(process.execPath, [...words, url], { env });
  assert.equal(stdout, "100\n", stderr);
  assert.deepEqual(seen, ["/chat?key=value-of-KEY"]);
});

test(
  "git clones over HTTPS, with a password that it does not have",
  async () => {
    using directory = temporaryDirectory();
    const git = (...words: string[]) =>
      program(
        "git",
        ["-c", "user.name=a", "-c", "user.email=a@example", "-c", "init.defaultBranch=main", ...words],
        {
          env: { GIT_SSL_CAINFO: authorityFile(), GIT_TERMINAL_PROMPT: "0" },
        },
      );
    const [work, bare, clone] = ["work", "bare.git", "clone"].map((name) => join(directory.path, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(work);
    await git("init", "-q", work);
    writeFileSync(join(work, "file"), "content\n".repeat(100_000));
    await git("-C", work, "add", "file");
    await git("-C", work, "commit", "-q", "-m", "one");
    await git("clone", "-q", "--bare", work, bare);
    await git("-C", bare, "update-server-info");
    let passwords = 0;
    await using at = await listenerFor((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "https://localhost");
      const path = join(bare, pathname);
      const [, encoded = ""] = /^Basic (\S+)$/.exec(request.headers.authorization ?? "") ?? [];
      if (encoded === "") response.writeHead(401, { "WWW-Authenticate": 'Basic realm="x"' }).end();
      else if (Buffer.from(encoded, "base64").toString() !== "me:value-of-KEY") response.writeHead(403).end();
      else if (!existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end();
      else {
        passwords++;
        createReadStream(path).pipe(response);
      }
    });
    const url = at.url.replace("//", "//me:$MSB_KEY@");
    const { stderr, exitCode } = await git("clone", "-q", url, clone);
    assert.equal(exitCode, 0, stderr);
    assert.ok(passwords > 3);
    assert.equal(statSync(join(clone, "file")).size, 800_000);
  },
  { missing: missing("git") },
);

test("openssl sees a chain that it verifies, in TLS 1.2 and 1.3", async () => {
  await using at = await listenerFor(echoRequest);
  for (const version of ["-tls1_2", "-tls1_3"]) {
    const words = [
      "s_client",
      "-connect",
      at.url.slice(8),
      "-servername",
      "localhost",
      "-verify_hostname",
      "localhost",
    ];
    const { stdout, stderr } = await program(
      "openssl",
      [...words, "-verify_return_error", "-CAfile", authorityFile(), version],
      {
        input: "",
      },
    );
    assert.match(stdout, /Verify return code: 0 \(ok\)/, stderr);
  }
});
