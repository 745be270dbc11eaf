/** Certificates, held against OpenSSL's strict rules and the runtime's own reader. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Authority,
  type AuthorityPems,
  authorityIssues,
  createAuthority,
} from "../../../../src/egress/tls/authority.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const FIELDS = { certificate: "tls.interceptCaCert", key: "tls.interceptCaKey" };
const DAY_MS = 24 * 60 * 60 * 1000;

function openssl(...words: string[]): string {
  return execFileSync("openssl", words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** An authority that openssl made. */
function foreignAuthority(directory: string, algorithm: string[]): AuthorityPems {
  const [key, certificate] = [join(directory, "key.pem"), join(directory, "certificate.pem")];
  openssl(
    ...["req", "-x509", "-newkey", ...algorithm, "-nodes", "-keyout", key, "-out", certificate],
    ...[
      "-days",
      "3",
      "-subj",
      "/C=DE/O=Some Company/CN=Root of Ours",
      "-addext",
      "keyUsage=critical,keyCertSign",
    ],
  );
  return { certificate: openssl("x509", "-in", certificate), key: openssl("pkey", "-in", key) };
}

for (const host of [
  "api.example",
  "127.0.0.1",
  "2001:db8::17",
  `${"a".repeat(60)}.${"b".repeat(60)}.example`,
]) {
  test(`Authority.certificateFor(${JSON.stringify(host)}) passes OpenSSL's strict check`, () => {
    using temporary = temporaryDirectory();
    const directory = temporary.path;
    const pems = createAuthority();
    const leaf = new Authority(pems).certificateFor(host);
    const [root, file] = [join(directory, "root.pem"), join(directory, "leaf.pem")];
    writeFileSync(root, pems.certificate);
    writeFileSync(file, leaf);
    const name = host.includes(":") || /^[\d.]+$/.test(host) ? "-verify_ip" : "-verify_hostname";
    const said = openssl(
      "verify",
      "-x509_strict",
      "-purpose",
      "sslserver",
      "-CAfile",
      root,
      name,
      host,
      file,
    );
    assert.match(said, /: OK/);
    assert.throws(() =>
      openssl("verify", "-x509_strict", "-CAfile", root, "-verify_hostname", "b.example", file),
    );
    const read = new X509Certificate(leaf);
    assert.equal(read.checkIssued(new X509Certificate(pems.certificate)), true);
    assert.equal(read.ca, false);
  });
}

test("createAuthority() makes an authority that may sign for servers and for no other authority", () => {
  const input = createAuthority().certificate;
  const text = execFileSync("openssl", ["x509", "-noout", "-text"], { input, encoding: "utf8" });
  assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
  assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
  assert.notEqual(createAuthority().certificate, createAuthority().certificate);
});

const ALGORITHMS = {
  "EC P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  "EC P-384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
  RSA: ["rsa:2048"],
};
for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
  test(`Authority signs with a given authority of ${name}`, () => {
    using temporary = temporaryDirectory();
    const directory = temporary.path;
    const pems = foreignAuthority(directory, algorithm);
    assert.deepEqual(authorityIssues(pems, FIELDS), []);
    const [root, file] = [join(directory, "certificate.pem"), join(directory, "leaf.pem")];
    writeFileSync(file, new Authority(pems).certificateFor("api.example"));
    assert.match(openssl("verify", "-x509_strict", "-CAfile", root, file), /: OK/);
  });
}

test("Authority sends the certificates between its own and the root", () => {
  using temporary = temporaryDirectory();
  const directory = temporary.path;
  foreignAuthority(directory, ALGORITHMS["EC P-256"]);
  const at = (name: string) => join(directory, name);
  openssl(
    ...["req", "-new", "-newkey", ...ALGORITHMS["EC P-256"], "-nodes", "-subj", "/CN=Between"],
    ...["-keyout", at("between.key"), "-out", at("between.csr")],
  );
  writeFileSync(at("extensions"), "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n");
  openssl(
    ...["x509", "-req", "-in", at("between.csr"), "-CA", at("certificate.pem"), "-CAkey", at("key.pem")],
    ...["-days", "2", "-extfile", at("extensions"), "-out", at("between.pem")],
  );
  const pems = {
    certificate: openssl("x509", "-in", at("between.pem")),
    key: openssl("pkey", "-in", at("between.key")),
  };
  const authority = new Authority(pems);
  writeFileSync(at("sent.pem"), authority.certificateFor("api.example"));
  const said = openssl(
    "verify",
    "-CAfile",
    at("certificate.pem"),
    "-untrusted",
    at("sent.pem"),
    at("sent.pem"),
  );
  assert.match(said, /: OK/);
});

test("authorityIssues() names the field of an invalid CA", () => {
  using temporary = temporaryDirectory();
  const directory = temporary.path;
  const good = createAuthority();
  const { certificate, key } = good;
  const leaf = new Authority(good).certificateFor("api.example");
  const ed25519 = generateKeyPairSync("ed25519")
    .privateKey.export({ format: "pem", type: "pkcs8" })
    .toString();
  const small = foreignAuthority(directory, ["rsa:1024"]);
  const withPassword = openssl(
    "pkey",
    "-in",
    join(directory, "key.pem"),
    "-aes256",
    "-passout",
    "pass:geheim",
  );
  const problem = (pems: AuthorityPems, nowMs?: number) =>
    authorityIssues(pems, FIELDS, nowMs).map((issue) => `${issue.field}: ${issue.problem}`);
  assert.deepEqual(problem({ certificate: "none", key }), [
    "tls.interceptCaCert: must be a certificate in PEM",
  ]);
  assert.deepEqual(problem({ certificate: leaf, key }), [
    "tls.interceptCaCert: must be the certificate of an authority (CA:TRUE)",
    "tls.interceptCaKey: must be the key of tls.interceptCaCert",
  ]);
  assert.deepEqual(problem({ certificate, key: "none" }), [
    "tls.interceptCaKey: must be a private key in PEM, without a password",
  ]);
  assert.deepEqual(problem({ certificate, key: withPassword }), [
    "tls.interceptCaKey: must be a private key in PEM, without a password",
  ]);
  assert.deepEqual(problem({ certificate, key: createAuthority().key }), [
    "tls.interceptCaKey: must be the key of tls.interceptCaCert",
  ]);
  const kinds = "tls.interceptCaKey: must be an EC key (P-256, P-384) or an RSA key of at least 2048 bits";
  assert.deepEqual(problem({ certificate, key: ed25519 }), [kinds]);
  assert.deepEqual(problem(small), [kinds]);
  assert.match(problem(good, Date.now() + 4000 * DAY_MS)[0] ?? "", /interceptCaCert: is no longer valid/);
  assert.match(problem(good, Date.now() - 30 * DAY_MS)[0] ?? "", /interceptCaCert: is not valid before/);
});

test("Authority keeps contexts, the same for a name, and no more than a bound", () => {
  const authority = new Authority(createAuthority());
  const first = authority.contextFor("first.example");
  for (let number = 0; number < 255; number++) authority.contextFor(`n${number}.example`);
  assert.equal(authority.contextFor("first.example"), first);
  authority.contextFor("another.example"); // n0 goes: it was not used since
  assert.equal(authority.contexts, 256);
  assert.equal(authority.contextFor("first.example"), first);
});

test("Authority makes a certificate again before it ends", () => {
  const authority = new Authority(createAuthority());
  const now = Date.now();
  const first = authority.contextFor("a.example", now);
  assert.equal(authority.contextFor("a.example", now + 59 * DAY_MS), first);
  assert.notEqual(authority.contextFor("a.example", now + 61 * DAY_MS), first);
});
