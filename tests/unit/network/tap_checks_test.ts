import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { findProgram } from "../../../src/platform/find_program.ts";
import { test } from "../../support/harness.ts";

const MODULE = new URL("../../../src/network/tap_checks.ts", import.meta.url).href;
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const CONFIG = { mode: "tap", cidr: "10.9.0.0/24", gateway: "10.9.0.1", dns: [], isolated: true };
/** `$AT_LAST` is done when the host's routes have been looked at. */
const PROGRAM = `
  const { execSync } = await import("node:child_process");
  const { checkTapHost } = await import(${JSON.stringify(MODULE)});
  try {
    checkTapHost(${JSON.stringify(CONFIG)}, () => {
      execSync(process.env.AT_LAST ?? ":");
      return new Set(["own"]);
    });
    console.log("fine");
  } catch (error) {
    console.log(error.code, error.message);
  }`;

const problem =
  process.getuid?.() !== 0
    ? "to give up privileges takes root"
    : ["unshare", "setpriv", "ip"].some((program) => findProgram(program) === undefined)
      ? "unshare, setpriv or ip is not installed"
      : undefined;

/** What checkTapHost() says in a network namespace in which `setup` has run. */
function checkAfter(setup: string, before: readonly string[] = []): string {
  const evaluate = "Bun" in globalThis ? ["-e", PROGRAM] : ["eval", "--no-check", PROGRAM];
  const command = ["unshare", "--net", "sh", "-c", `${setup}; exec "$@"`, "sh", ...before, process.execPath];
  const { stdout, stderr } = spawnSync(command[0] ?? "", [...command.slice(1), ...evaluate], {
    cwd: PROJECT,
    encoding: "utf8",
  });
  return stdout.trim() || stderr;
}

test(
  "checkTapHost() has nothing against a network that the host has no routes to",
  () => {
    const setup = "ip link set lo up; ip route add 10.8.0.0/24 dev lo; ip route add default dev lo";
    assert.equal(checkAfter(setup), "fine");
    const halves = "ip link set lo up; ip route add 0.0.0.0/1 dev lo";
    assert.equal(checkAfter(halves), "fine", "half of the world is no network");
  },
  { skip: problem },
);

test(
  "checkTapHost() refuses a network that a route or an address of the host is in",
  () => {
    const link = "ip tuntap add dev NAME mode tap; ip address add 10.9.0.77 peer 10.9.0.78 dev NAME";
    assert.match(checkAfter(link.replaceAll("NAME", "other")), /^network .*10\.9\.0\.77 by other/);
    assert.equal(checkAfter(link.replaceAll("NAME", "own")), "fine", "a sandbox's of the same network");
    const wide = "ip link set lo up; ip route add 10.0.0.0/8 dev lo";
    assert.match(checkAfter(wide), /^network .*10\.0\.0\.0\/8 by lo/);
    const table = "ip link set lo up; ip route add blackhole 10.9.0.0/26 table 7";
    assert.match(checkAfter(table), /^network .*10\.9\.0\.0\/26/, "of whichever table");
  },
  { skip: problem },
);

test(
  "checkTapHost() does not mind the devices of sandboxes that start or stop meanwhile",
  () => {
    const device = "ip tuntap add dev NAME mode tap; ip address add 10.9.0.77 peer 10.9.0.78 dev NAME";
    const later = `export AT_LAST='${device.replaceAll("NAME", "later")}'`;
    assert.equal(checkAfter(later), "fine", "not there yet when the routes were looked at");
    const ending = `${device.replaceAll("NAME", "ending")}; export AT_LAST='ip link delete ending'`;
    assert.equal(checkAfter(ending), "fine", "gone, and its lease with it");
  },
  { skip: problem },
);

test(
  "checkTapHost() says what privilege is missing",
  () => {
    const drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    assert.match(checkAfter(":", drop), /^networkPrivilege .*CAP_NET_ADMIN: .*not permitted/);
    const nobody = ["setpriv", "--reuid", "65534", "--clear-groups"];
    assert.match(checkAfter(":", nobody), /^networkPrivilege .*CAP_NET_ADMIN/);
  },
  { skip: problem },
);
