/** What a guest is given to trust: idempotent, replaceable, and found by OpenSSL. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Authority, createAuthority } from "../../../../src/egress/tls/authority.ts";
import {
  type GuestFiles,
  installGuestTrust,
  subjectHash,
  withTrustBlock,
} from "../../../../src/egress/tls/guest_trust.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

/** Files in memory, and how often they were written. */
class MemoryFiles implements GuestFiles {
  readonly content = new Map<string, string>();
  writes = 0;

  async read(path: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const text = this.content.get(path);
    return text === undefined || text.length > bytesMax ? undefined : new TextEncoder().encode(text);
  }

  async write(path: string, content: Uint8Array): Promise<void> {
    this.writes++;
    this.content.set(path, new TextDecoder().decode(content));
  }
}

const DEBIAN = "/etc/ssl/certs/ca-certificates.crt";
const RHEL = "/etc/pki/tls/certs/ca-bundle.crt";

test("installGuestTrust() adds to each bundle that is there, once", async () => {
  const files = new MemoryFiles();
  files.content.set(RHEL, "others\n").set("/etc/ssl/cert.pem", "others without a line feed");
  const { certificate } = createAuthority();
  const variables = await installGuestTrust(certificate, files);
  assert.equal(files.content.has(DEBIAN), false);
  assert.equal(files.content.get(RHEL), withTrustBlock("others\n", certificate));
  assert.ok(files.content.get("/etc/ssl/cert.pem")?.startsWith("others without a line feed\n#"));
  assert.equal(variables["SSL_CERT_FILE"], RHEL);
  assert.equal(files.content.get(variables["NODE_EXTRA_CA_CERTS"] ?? ""), certificate);
  const written = files.writes;
  assert.deepEqual(await installGuestTrust(certificate, files), variables);
  assert.equal(files.writes, written);
});

test("installGuestTrust() makes a bundle where there is none", async () => {
  const files = new MemoryFiles();
  const variables = await installGuestTrust(createAuthority().certificate, files);
  assert.equal(variables["REQUESTS_CA_BUNDLE"], DEBIAN);
  assert.match(files.content.get(DEBIAN) ?? "", /BEGIN CERTIFICATE/);
});

test("installGuestTrust() replaces an earlier authority in bundles", async () => {
  const files = new MemoryFiles();
  files.content.set(DEBIAN, "others\n");
  await installGuestTrust(createAuthority().certificate, files);
  const { certificate } = createAuthority();
  await installGuestTrust(certificate, files);
  assert.equal(files.content.get(DEBIAN), withTrustBlock("others\n", certificate));
});

test("installGuestTrust() lets OpenSSL find the authority by its directory and by its bundle", async () => {
  using temporary = temporaryDirectory();
  const pems = createAuthority();
  const files = new MemoryFiles();
  await installGuestTrust(pems.certificate, files);
  for (const [path, text] of files.content) {
    mkdirSync(dirname(join(temporary.path, path)), { recursive: true });
    writeFileSync(join(temporary.path, path), text);
  }
  const leaf = join(temporary.path, "leaf.pem");
  writeFileSync(leaf, new Authority(pems).certificateFor("api.example"));
  const verify = (...words: string[]) =>
    execFileSync("openssl", ["verify", ...words, leaf], { encoding: "utf8" });
  assert.match(verify("-no-CAfile", "-CApath", join(temporary.path, "/etc/ssl/certs")), /: OK/);
  assert.match(verify("-no-CApath", "-CAfile", join(temporary.path, DEBIAN)), /: OK/);
});

for (const subject of [
  "/CN=plain",
  "/C=DE/O=Some  Company \u00dcber/CN= ROOT  of Ours ",
  "/DC=example/emailAddress=A@B.example",
]) {
  test(`subjectHash() agrees with openssl on ${subject}`, () => {
    const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8"];
    const pem = execFileSync("openssl", [...words, "-keyout", "/dev/null", "-subj", subject], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const hash = execFileSync("openssl", ["x509", "-noout", "-subject_hash"], {
      input: pem,
      encoding: "utf8",
    }).trim();
    assert.equal(subjectHash(new X509Certificate(pem).raw), hash);
  });
}
