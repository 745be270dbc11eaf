/** The warning for programs that look for a network in a sandbox without one. @module */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import type { Sandbox } from "../../../../mod.ts";
import { missesNetwork } from "../../../../src/sandbox/exec/missing_network.ts";
import { withSandbox } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";

const APT =
  "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'";

test("Programs' own words tell that they found no network", () => {
  for (const words of [
    APT,
    "urllib3.exceptions.NameResolutionError: [Errno -3] Temporary failure in name resolution')': /simple/six/",
    "curl: (6) Could not resolve host: example.org",
    "fatal: unable to access 'https://x.example/': Could not resolve host: x.example",
    "wget: bad address 'example.org'",
    "wget: unable to resolve host address ‘example.org’",
    "ERROR: unable to select packages: fetching …: DNS: transient error (try again later)",
    "Error: getaddrinfo EAI_AGAIN registry.npmjs.org",
    "dial tcp: lookup proxy.golang.org: Try again",
    "connect: Network is unreachable",
    "Error: connect ENETUNREACH 192.0.2.1:80",
  ])
    assert.ok(missesNetwork(words), words);
  for (const words of ["", "connection refused", "bad address", "No such file or directory", "network"])
    assert.ok(!missesNetwork(words), words);
});

test(
  "A program that looks for a network in a sandbox without one causes a warning, once in a process",
  async () => {
    const told: unknown[][] = [];
    const { emitWarning } = process;
    process.emitWarning = (...call: unknown[]) => void told.push(call);
    try {
      const complain = async (sandbox: Sandbox, redirect: string, tty = false) => {
        await sandbox.exec("sh", ["-c", `echo "$0" ${redirect}; exit 0`, APT], { tty });
        await setImmediate();
      };
      await withSandbox((sandbox) => complain(sandbox, ">&2"), { network: "user" });
      await withSandbox(async (sandbox) => {
        await complain(sandbox, ""); // what it works on, not what it complains of
        assert.deepEqual(told, []);
        await complain(sandbox, "", true);
        await complain(sandbox, ">&2");
      });
    } finally {
      process.emitWarning = emitWarning;
    }
    assert.equal(told.length, 1);
    const [text, options] = told[0] ?? [];
    assert.match(String(text), /the sandbox "box" has none: create it with network: "user"/);
    assert.deepEqual(options, { code: "MSB_NO_NETWORK" });
  },
  { skip: nativeAgentProblem },
);
