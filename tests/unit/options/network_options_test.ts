import assert from "node:assert/strict";
import { InvalidConfigError, type SandboxOptions } from "../../../mod.ts";
import { parseSandboxOptions, parseStoredConfig } from "../../../src/options/sandbox_options.ts";
import { test } from "../../support/harness.ts";
import { storedConfig } from "../../support/home/stored_config.ts";

function parsed(network: unknown) {
  // What callers without a compiler may pass.
  const options = { name: "x", image: "y", network } as SandboxOptions;
  return parseSandboxOptions(options).config.network;
}

const DEFAULT = {
  mode: "tap",
  cidr: "10.213.0.0/16",
  gateway: "10.213.0.1",
  dns: ["10.213.0.1"],
  isolated: true,
};

test("parseSandboxOptions() takes a mode for a network with all defaults", () => {
  assert.deepEqual(parsed(undefined), { mode: "none" });
  assert.equal(parsed("user").mode, "user"); // the rest: egress_options_test.ts
  assert.deepEqual(parsed({ mode: "none" }), { mode: "none" });
  assert.deepEqual(parsed("tap"), DEFAULT);
  assert.deepEqual(parsed({ mode: "tap", cidr: "10.1.2.0/24", isolated: false }), {
    mode: "tap",
    cidr: "10.1.2.0/24",
    gateway: "10.1.2.1",
    dns: ["10.1.2.1"],
    isolated: false,
  });
});

test("parseSandboxOptions() names the field of a network that cannot be", () => {
  const refused: readonly (readonly [unknown, string])[] = [
    ["bridge", "network.mode"],
    [{ mode: "user", cidr: "10.1.2.0/24" }, "network.cidr"],
    [{ mode: "tap", cidr: "10.1.2.0/31" }, "network.cidr"],
    [{ mode: "tap", cidr: "10.1.2.0/32" }, "network.cidr"],
    [{ mode: "tap", cidr: 5 }, "network.cidr"],
    [{ mode: "tap", cidr: "10.1.2.0/24", gateway: "10.1.3.1" }, "network.gateway"],
    [{ mode: "tap", gateway: "fd00::1" }, "network.gateway"],
    [{ mode: "tap", dns: ["example.org"] }, "network.dns.0"],
    [{ mode: "tap", dns: ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"] }, "network.dns"],
  ];
  for (const [network, field] of refused) {
    assert.throws(
      () => parsed(network),
      (error) => error instanceof InvalidConfigError && error.issues[0]?.field === field,
      JSON.stringify(network),
    );
  }
});

test("parseStoredConfig() reads networks back, also those that were stored as a mode alone", () => {
  const stored = (network: unknown) => parseStoredConfig(storedConfig("x", { network })).network;
  assert.deepEqual(stored(DEFAULT), DEFAULT);
  assert.deepEqual(stored({ mode: "none" }), { mode: "none" });
  assert.deepEqual(stored("user"), { mode: "user" });
  assert.deepEqual(stored(undefined), { mode: "none" });
});
