import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { HELPER_OUTPUT_BYTES_MAX } from "../../../../src/image/oci/credential_helper.ts";
import { findCredentials } from "../../../../src/image/oci/credentials.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => MicrosandboxError.is(error) && error.code === code;
}

/** A Docker configuration whose only helper runs `script`. */
function withHelper(directory: string, script: string): NodeJS.ProcessEnv {
  const bin = join(directory, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "docker-credential-test"), `#!/bin/sh\n${script}`);
  chmodSync(join(bin, "docker-credential-test"), 0o755);
  writeFileSync(join(directory, "config.json"), JSON.stringify({ credsStore: "test" }));
  return { DOCKER_CONFIG: directory, PATH: `${bin}:${process.env["PATH"]}` };
}

/** Waits until a process has written its id, and gives it. */
async function readPid(path: string): Promise<number> {
  while (!existsSync(path) || readFileSync(path, "utf8").trim() === "") await delay(5);
  return Number(readFileSync(path, "utf8"));
}

/** Waits until a process is gone, or is a zombie that its parent has yet to reap. */
async function hasExited(pid: number): Promise<true> {
  const isAlive = (): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false; // gone
    }
  };
  while (isAlive()) await delay(5);
  return true;
}

test("findCredentials() reads Docker's configuration", async () => {
  using home = temporaryDirectory();
  const environment = { DOCKER_CONFIG: home.path, PATH: process.env["PATH"] };
  assert.deepEqual(await findCredentials("r.test", environment), { kind: "anonymous" });
  const auth = Buffer.from("user:pa:ss").toString("base64");
  const auths = { "r.test": { auth }, "https://index.docker.io/v1/": { auth } };
  writeFileSync(join(home.path, "config.json"), JSON.stringify({ auths, HttpHeaders: {} }));
  const expected = { kind: "basic", username: "user", password: "pa:ss" };
  assert.deepEqual(await findCredentials("r.test", environment), expected);
  assert.deepEqual(await findCredentials("docker.io", environment), expected);
  assert.deepEqual(await findCredentials("other.test", environment), { kind: "anonymous" });
  writeFileSync(join(home.path, "config.json"), "{ broken");
  await assert.rejects(findCredentials("r.test", environment), hasCode("imageAuth"));
});

test("findCredentials() asks the credential helper", async () => {
  using home = temporaryDirectory();
  const script = `
read server
case "$server" in
  known.test) echo '{"ServerURL":"known.test","Username":"u","Secret":"s"}' ;;
  token.test) echo '{"Username":"<token>","Secret":"refresh"}' ;;
  broken.test) echo 'secret words'; exit 1 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
`;
  const environment = withHelper(home.path, script);
  const basic = { kind: "basic", username: "u", password: "s" };
  assert.deepEqual(await findCredentials("known.test", environment), basic);
  assert.deepEqual(await findCredentials("token.test", environment), { kind: "identity", token: "refresh" });
  assert.deepEqual(await findCredentials("absent.test", environment), { kind: "anonymous" });
  await assert.rejects(
    findCredentials("broken.test", environment),
    (error) => hasCode("imageAuth")(error) && !String(error).includes("secret words"),
  );
  writeFileSync(join(home.path, "config.json"), JSON.stringify({ credHelpers: { "known.test": "../evil" } }));
  await assert.rejects(findCredentials("known.test", environment), hasCode("imageAuth"));
});

/** A helper that writes its pid to `path`, and never ends unless it is killed. */
const stubborn = (path: string) => `trap '' TERM; echo $$ > '${path}'; while :; do sleep 0.1; done`;
// This one would answer in the end: a client that waits for it is seen by its success.
const LATE_ANSWER = `sleep 3; echo '{"Username":"u","Secret":"s"}'`;

test("findCredentials() kills a helper that ignores SIGTERM, after a grace period", async () => {
  using home = temporaryDirectory();
  const pidPath = join(home.path, "pid");
  const limits = { timeoutMs: 1_000, graceMs: 50 };
  const finding = findCredentials("r.test", withHelper(home.path, stubborn(pidPath)), undefined, limits);
  finding.catch(() => {}); // asserted below
  const pid = await readPid(pidPath);
  await assert.rejects(finding, hasCode("imageAuth"));
  assert.ok(await hasExited(pid));
});

test("findCredentials() does not wait for a process that a helper left with its output open", async () => {
  using home = temporaryDirectory();
  const environment = withHelper(home.path, `(${LATE_ANSWER}) & wait`);
  const limits = { timeoutMs: 200, graceMs: 50 };
  await assert.rejects(findCredentials("r.test", environment, undefined, limits), hasCode("imageAuth"));
});

test("findCredentials() ends when the signal fires, and its helper with it", async () => {
  using home = temporaryDirectory();
  const pidPath = join(home.path, "pid");
  const abort = new AbortController();
  const helper = withHelper(home.path, stubborn(pidPath));
  const finding = findCredentials("r.test", helper, abort.signal, { graceMs: 50 });
  finding.catch(() => {}); // asserted below
  const pid = await readPid(pidPath);
  abort.abort();
  await assert.rejects(finding, hasCode("aborted"));
  assert.ok(await hasExited(pid));
});

test("findCredentials() ends a helper that writes more than the limit", async () => {
  using home = temporaryDirectory();
  const script = `head -c ${HELPER_OUTPUT_BYTES_MAX + 1} /dev/zero; trap '' TERM; sleep 3`;
  const environment = withHelper(home.path, script);
  const finding = findCredentials("r.test", environment, undefined, { graceMs: 50 });
  await assert.rejects(finding, /wrote more than 65536 bytes/);
});
