import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { boundCommand } from "../../../../../src/platform/bound_child.ts";
import { findProgram } from "../../../../../src/platform/find_program.ts";
import { privilegeArguments } from "../../../../../src/vmm/engine/qemu/confine_qemu.ts";
import { test } from "../../../../support/harness.ts";

const SETPCAP = 1n << 8n;
const NET_ADMIN = 1n << 12n;

const isRoot = process.getuid?.() === 0 && findProgram("setpriv") !== undefined;
const root = { skip: isRoot ? undefined : "needs root and setpriv" };

/** What a program that is started like QEMU has of its capabilities, and whether it can gain any. */
function privilegesOf(makesDevice: boolean): { readonly effective: bigint; readonly noNewPrivs: boolean } {
  const [file, args] = boundCommand("cat", ["/proc/self/status"], privilegeArguments(makesDevice));
  const status = spawnSync(file, args, { encoding: "utf8" }).stdout;
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1] ?? "";
  return { effective: BigInt(`0x${field("CapEff")}`), noNewPrivs: field("NoNewPrivs") === "1" };
}

test("privilegeArguments() drops capabilities only with the right to do so", () => {
  assert.deepEqual(privilegeArguments(false, 0n), ["--no-new-privs"]);
  assert.deepEqual(privilegeArguments(true, NET_ADMIN), ["--no-new-privs"]);
  const all = ["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"];
  assert.deepEqual(privilegeArguments(false, SETPCAP), all);
});

test(
  "privilegeArguments() leaves root's program no capability, or the one that makes a TAP device",
  () => {
    assert.deepEqual(privilegesOf(false), { effective: 0n, noNewPrivs: true });
    assert.deepEqual(privilegesOf(true), { effective: NET_ADMIN, noNewPrivs: true });
  },
  root,
);
