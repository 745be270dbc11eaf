/** Datagrams of a guest on a link that is slower than the guest: in a network namespace with a shaped device. @module */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/base/bytes.ts";
import { test } from "../../support/harness.ts";

const MAIN = fileURLToPath(new URL("../../support/egress/slow_link_main.ts", import.meta.url));
const RUNTIME =
  "Bun" in globalThis
    ? [process.execPath, MAIN]
    : [process.execPath, "run", "--allow-all", "--no-check", MAIN];

/** 100 kbit a second towards a neighbour that is not there. What waits for the device counts for the sender's socket. */
const SLOW_LINK = [
  "ip link set lo up",
  "ip link add slow type veth peer name far",
  "ip addr add 10.77.0.1/24 dev slow",
  "ip link set slow up",
  "ip link set far up",
  "ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev slow",
  "tc qdisc add dev slow root tbf rate 100kbit burst 4k limit 50m",
];

function namespaceProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for a network namespace";
  const { status } = spawnSync("unshare", ["--net", "sh", "-c", SLOW_LINK.join(" && ")]);
  return status === 0 ? undefined : "needs unshare, ip and tc";
}

test(
  "Egress drops datagrams that the host's network does not take, instead of holding 60 MB of them",
  () => {
    const script = [...SLOW_LINK, 'exec "$@"'].join(" && ");
    const options = { timeout: 40_000, encoding: "utf8" } as const;
    const { bytesOut } = JSON.parse(
      execFileSync("unshare", ["--net", "sh", "-c", script, "sh", ...RUNTIME], options),
    );
    assert.ok(bytesOut >= 60_000 && bytesOut < 2 * MiB, `${bytesOut} bytes were taken`);
  },
  { missing: namespaceProblem() },
);
