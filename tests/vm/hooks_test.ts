/** Hooks of this process see a real guest's requests, as long as it is there. @module */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type HttpHooks, Sandbox } from "../../mod.ts";
import { originAuthority, originCertificate } from "../support/egress/origin.ts";
import { Outside, outsideProblem } from "../support/vm/outside.ts";
import { discard, homeTest } from "../support/vm/vm.ts";

const MAIN = fileURLToPath(new URL("../support/vm/hooks_main.ts", import.meta.url));

/** HTTP and HTTPS servers that answer with the path and a header, and one that keeps connections open. */
const SERVERS = `
import http.server, socketserver, ssl, sys, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("%s from %s" % (self.path, self.headers["X-From"])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *words):
        pass
class Silent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(1)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[1])
secure = http.server.ThreadingHTTPServer(("", 443), Handler)
secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
for server in [secure, http.server.ThreadingHTTPServer(("", 80), Handler), socketserver.ThreadingTCPServer(("", 7), Silent)]:
    threading.Thread(target=server.serve_forever).start()
print("serving", flush=True)
`;

/** The TLS of Deno gives BusyBox's client no handshake. */
const isDeno = "Deno" in globalThis;

const hooks: HttpHooks = {
  onRequest(request) {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") return new Response("answered by a hook");
    if (pathname === "/broken") throw new Error("words that are not for the guest");
    const headers = new Headers(request.headers);
    headers.set("x-from", "a hook");
    return new Request(request, { headers });
  },
  async onResponse(response, request) {
    if (!request.url.endsWith("/loud")) return;
    return new Response((await response.text()).toUpperCase(), response);
  },
};

homeTest(
  "hooks see a guest's requests, go with their process, and come back with a start",
  async ({ image, scratch, create }) => {
    const file = (name: string, text: string): string => {
      const path = join(scratch, name);
      writeFileSync(path, text);
      return path;
    };
    const { key, cert } = originCertificate("api.example");
    const words = [file("key.pem", key), file("cert.pem", cert)];
    using outside = await Outside.start(["python3", "-u", "-c", SERVERS, ...words]);
    const { address } = outside;

    // A process that creates a sandbox and ends, though a connection of the guest is open: the network goes with it.
    const { MSB_ONLY_IGNORED: _, ...env } = process.env;
    const argv = [...(isDeno ? ["run", "-A", "--no-check", "--quiet"] : []), MAIN, image, address];
    const first = await promisify(execFile)(process.execPath, argv, { env, timeout: 150_000 });
    assert.equal(first.stdout.trim(), "answered by the first process");
    const handle = await Sandbox.get("hooked");
    assert.equal(handle.status, "running");
    const left = await handle.connect();
    assert.match((await left.shell(`wget -qO- http://${address}/ 2>&1`)).stdout(), /unreachable/);
    assert.equal((await left.network.info()).egress?.servedBy, "client");
    await assert.rejects(left.network.update({ allow: ["any"] }), { code: "unsupported", hint: /hooks/ });

    // A start needs them again; options that a start would refuse stop nothing.
    const secrets = { KEY: "value-of-the-key" };
    await assert.rejects(left.restart({ secrets }), {
      code: "invalidConfig",
      hint: /hooks/,
      issues: [
        { field: "hooks", problem: "are missing: the sandbox was created with some, which are not stored" },
      ],
    });
    assert.equal((await handle.refresh()).status, "running");
    const again = await left.restart({ secrets, hooks });
    const get = async (path: string, more = "") =>
      (await again.shell(`timeout 60 wget -qO- ${more} http://${address}${path} 2>&1`)).stdout().trim();
    assert.equal(await get("/a"), "/a from a hook");
    assert.equal(await get("/loud"), "/LOUD FROM A HOOK");
    assert.equal(await get("/", "--post-data x"), "answered by a hook");
    assert.match(await get("/broken"), /502 Bad Gateway/);
    const { netRxBytes, netTxBytes } = await again.metrics();
    assert.ok(netRxBytes > 100 && netTxBytes > 100, `${netRxBytes} ${netTxBytes}`);
    await again.network.update({ allow: ["192.0.2.99"] });
    assert.match(await get("/a"), /refused/);
    await again.network.update({ allow: ["any"] });
    assert.equal(await get("/a"), "/a from a hook");

    // Its secret in clear text is a violation, which ends the sandbox.
    await again.shell(`timeout 60 wget -qO- --header "X: $KEY" http://${address}/`).catch(() => {});
    const end = await again.waitUntilStopped();
    assert.deepEqual([end.status, end.reason], ["stopped", "networkViolation"]);
    const log = (await handle.logs({ sources: ["network"] })).map((entry) => entry.text()).join("\n");
    assert.match(log, /"onRequest failed"/);
    assert.match(log, /"reason":"violation"/);
    assert.doesNotMatch(log, /value-of|words that/);
    await discard("hooked");

    // TLS is read with hooks, and trusted before a program runs.
    const secure = await create({
      network: {
        allow: ["any"],
        tls: { upstreamCaCertPaths: [file("authority.pem", originAuthority.certificate)] },
        ...hooks,
      },
    });
    assert.match(
      (await secure.shell("cat $SSL_CERT_FILE")).stdout(),
      /the authority of this sandbox's network/,
    );
    if (!isDeno) {
      await secure.shell(`echo "${address} api.example" >> /etc/hosts`);
      const answer = await secure.shell(
        'timeout 60 wget -qO- https://api.example/tls 2>&1 | grep -v "^wget: note"',
      );
      assert.equal(answer.stdout().trim(), "/tls from a hook");
    }
    await secure.stop();
  },
  { missing: outsideProblem },
);
