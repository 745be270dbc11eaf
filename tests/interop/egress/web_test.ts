/**
 * What a guest's HTTP clients do to a server, with rules alone and with its requests read on the way; and plain TCP in the
 * orders that break proxies.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HttpInterceptor } from "../../../src/egress/tls/interceptor.ts";
import { gitOrigin } from "../../support/egress/git_server.ts";
import { originAuthority, tlsConfig } from "../../support/egress/origin.ts";
import { authorityFile } from "../../support/egress/programs.ts";
import { programsMissing, type RealGuest, startGuestOf } from "../../support/egress/real_guest.ts";
import { secret } from "../../support/egress/secrets.ts";
import { startHttpServers } from "../../support/egress/service_servers.ts";
import { webSocketOrigin } from "../../support/egress/web_socket_origin.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const UPLOAD_BYTES = 5_000_000;
/** Of the largest body, each way. */
const BODY_MIB = Number(process.env["MSB_BODY_MIB"] ?? 16);

/** Reads what goes to ports 80 and 443 of names that rules are about. */
const interception = {
  tls: tlsConfig(),
  secrets: [secret("KEY", { allowedHosts: ["web.example", "git.example"], requireTlsIdentity: false })],
  interceptor: (config: ConstructorParameters<typeof HttpInterceptor>[0]["config"]) =>
    new HttpInterceptor({ config }),
};

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** What `/chunks` of the server consists of. */
const CHUNKS = Buffer.concat(
  Array.from({ length: 1000 }, (_, number) => Buffer.alloc(number * 7 + 1, number % 256)),
);

/** Every form of HTTP/1.1 that a client of today uses, towards `http://web.example`. */
async function tryHttp(guest: RealGuest, directory: string): Promise<void> {
  const curl = (...words: readonly string[]) =>
    guest.run("curl", "--silent", "--show-error", "--fail", ...words);
  const url = "http://web.example";
  const kept = await curl(...[1, 2, 3].flatMap((number) => [`${url}/${number}`]), "-w", " %{num_connects}\n");
  assert.deepEqual(
    kept.split("\n").map((line) => line.at(-1)),
    ["1", "0", "0"],
    "connections made for each of three requests",
  );
  const file = (name: string) => join(directory, name);
  await curl(`${url}/chunks`, "-o", file("chunks"));
  assert.equal(sha256(readFileSync(file("chunks"))), sha256(CHUNKS));
  const upload = randomBytes(UPLOAD_BYTES);
  writeFileSync(file("upload"), upload);
  const stored = { sha256: sha256(upload), bytes: UPLOAD_BYTES };
  const whole = JSON.parse(await curl("-T", file("upload"), "-H", "Expect: 100-continue", `${url}/file`));
  assert.deepEqual({ ...whole, expect: null }, { ...stored, expect: null });
  const piped = await guest.run("sh", "-c", `curl -sS -f -T - ${url}/file < ${file("upload")}`);
  assert.deepEqual({ ...JSON.parse(piped), expect: null }, { ...stored, expect: null });
  const bytes = BODY_MIB * 1024 * 1024;
  const zeros = `head -c ${bytes} /dev/zero`;
  const [zerosSum] = (await guest.run("sh", "-c", `${zeros} | sha256sum`)).split(" ");
  const sent = JSON.parse(await guest.run("sh", "-c", `${zeros} | curl -sS -f -T - ${url}/file`));
  assert.deepEqual([sent.bytes, sent.sha256], [bytes, zerosSum]);
  const got = await guest.run("sh", "-c", `curl -sS -f ${url}/zeros/${bytes} | sha256sum`);
  assert.equal(got.split(" ")[0], zerosSum);
  const parallel = ["--parallel", "--parallel-max", "100", "--parallel-immediate"];
  const all = await curl(...parallel, ...Array.from({ length: 200 }, (_, number) => `${url}/${number}`));
  const paths = new Set([...all.matchAll(/"path": "([^"]*)"/g)].map(([, path]) => path));
  assert.equal(paths.size, 200);
  // All requests are sent before an answer is read.
  const pipelined = `
import http.client, json, socket
s = socket.create_connection(("web.example", 80), 20)
s.sendall(b"".join(b"GET /%d HTTP/1.1\\r\\nHost: web.example\\r\\n\\r\\n" % n for n in range(50)))
stream = s.makefile("rb")
ports = set()
for n in range(50):
    assert stream.readline().startswith(b"HTTP/1.1 200")
    size = int(http.client.parse_headers(stream)["Content-Length"])
    answer = json.loads(stream.read(size))
    assert answer["path"] == "/%d" % n, answer
    ports.add(answer["port"])
print(len(ports))`;
  assert.equal(await guest.network.python(pipelined), "1");
  // The server sends the next event when the client says that it has the last: one that is held back would stop both.
  const events = `
import urllib.request
got = []
with urllib.request.urlopen("http://web.example/events", timeout=30) as stream:
    for line in stream:
        if line.startswith(b"data: "):
            got.append(int(line[6:]))
            urllib.request.urlopen("http://web.example/want/%d" % (got[-1] + 1), timeout=30).read()
print(got == list(range(20)))`;
  assert.equal(await guest.network.python(events), "True");
}

for (const [way, config] of [
  ["by rules alone", {}],
  ["read on the way", interception],
] as const)
  test(
    `HTTP/1.1 ${way}: kept connections, pipelining, chunks, uploads, server-sent events`,
    async () => {
      using directory = temporaryDirectory();
      await using servers = await startHttpServers();
      await using guest = await startGuestOf({ "web.example:80": servers.http }, config);
      await tryHttp(guest, directory.path);
      const denied = await guest.network.run(
        "curl",
        "-sS",
        "http://web.example/",
        "-H",
        "Host: other.example",
      );
      assert.doesNotMatch(denied.stdout, /"path"/);
    },
    { missing: programsMissing("curl", "python3"), timeoutMs: 55_000 + BODY_MIB * 1000 },
  );

test(
  "plain TCP: a server that speaks first, half-close by either side, 200 connections of asyncio at once",
  async () => {
    await using servers = await startHttpServers();
    await using guest = await startGuestOf({ "tcp.example:2525": servers.tcp });
    const open = `
import socket, hashlib
s = socket.create_connection(("tcp.example", 2525), 20)
lines = s.makefile("rb")
assert lines.readline() == b"220 ready\\n"
data = bytes(range(256)) * 8000
`;
    const sum = sha256(
      Buffer.concat(new Array(8000).fill(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))),
    );
    const clientEnds = `${open}
s.sendall(b"client-ends\\n" + data)
s.shutdown(socket.SHUT_WR)
print(lines.read().decode())`;
    assert.equal(await guest.network.python(clientEnds), sum);
    const serverEnds = `${open}
s.sendall(b"server-ends\\n")
assert lines.read() == b"nothing more from here"
s.sendall(data)
s.shutdown(socket.SHUT_WR)
with socket.create_connection(("tcp.example", 2525), 20) as again:
    again.sendall(b"last\\n")
    print(again.makefile().read().split("\\n")[1])`;
    assert.equal(await guest.network.python(serverEnds), sum);
    const many = `
import asyncio
async def one(number, all_open):
    reader, writer = await asyncio.open_connection("tcp.example", 2525)
    assert await reader.readline() == b"220 ready\\n"
    await all_open.wait()
    message = b"%d " % number * 5000
    writer.write(b"echo\\n" + message)
    writer.write_eof()
    assert await reader.read() == message
    writer.close()
async def main():
    all_open = asyncio.Barrier(200)
    await asyncio.gather(*(one(number, all_open) for number in range(200)))
    print("done")
asyncio.run(main())`;
    assert.equal(await guest.network.python(many), "done");
  },
  { missing: programsMissing("python3") },
);

test(
  "git clones and pushes over HTTPS that is read on the way, by Git's own backend",
  async () => {
    using directory = temporaryDirectory();
    const path = (name: string) => join(directory.path, name);
    mkdirSync(path("served"));
    await using origin = await gitOrigin(path("served"), "git.example");
    await using guest = await startGuestOf({ "git.example:443": origin.port }, interception);
    const git = (...words: readonly string[]) =>
      guest.run(
        ...["env", `GIT_SSL_CAINFO=${authorityFile()}`, "GIT_CONFIG_GLOBAL=/dev/null", "git"],
        ...["-c", "user.name=a", "-c", "user.email=a@example", "-c", "http.postBuffer=65536", ...words],
      );
    await git("init", "-q", "--bare", "-b", "main", path("served/project.git"));
    await git("clone", "-q", "https://git.example/project.git", path("work"));
    const content = randomBytes(3_000_000); // more than the buffer: sent in chunks
    writeFileSync(path("work/file"), content);
    await git("-C", path("work"), "add", "file");
    await git("-C", path("work"), "commit", "-q", "-m", "one");
    await git("-C", path("work"), "push", "-q", "origin", "HEAD:main");
    await git("clone", "-q", "--depth=1", "https://git.example/project.git", path("again"));
    assert.ok(content.equals(readFileSync(path("again/file"))));
    assert.match(await git("ls-remote", "https://git.example/project.git"), /refs\/heads\/main/);
  },
  { missing: programsMissing("git") },
);

test(
  "node's WebSocket talks through rules alone and through interception",
  async () => {
    await using origin = await webSocketOrigin(() => {}, "web.example");
    const script = `
      const socket = new WebSocket("wss://web.example/chat");
      let got = 0;
      socket.onopen = () => { for (let number = 0; number < 100; number++) socket.send("x".repeat(number * 10)); };
      socket.onmessage = ({ data }) => { if (data.length === got * 10 && ++got === 100) socket.close(); };
      socket.onerror = () => { console.log("error"); process.exit(1); };
      socket.onclose = () => { console.log(got); process.exit(0); };`;
    using directory = temporaryDirectory();
    const originAuthorityFile = join(directory.path, "ca.pem");
    writeFileSync(originAuthorityFile, originAuthority.certificate);
    for (const [config, authority] of [
      [{}, originAuthorityFile],
      [interception, authorityFile()],
    ] as const) {
      await using guest = await startGuestOf({ "web.example:443": origin.port }, config);
      const node = ["node", "--no-warnings", "--experimental-websocket", "-e", script];
      assert.equal(await guest.run("env", `NODE_EXTRA_CA_CERTS=${authority}`, ...node), "100");
    }
  },
  { missing: programsMissing("node") },
);
