/** Which qcow2 disks a VM may have. Where QEMU is installed, it makes the disks. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { qcow2HeaderProblem, qcow2Problem } from "../../../src/image/qcow2_header.ts";
import { findProgram } from "../../../src/platform/find_program.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const missing = findProgram("qemu-img") === undefined ? "needs qemu-img (qemu-utils)" : undefined;

/** A header of version 3 of a disk of 1 MiB. */
function header(change: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(104);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x51_46_49_fb);
  view.setUint32(4, 3);
  view.setUint32(20, 16);
  view.setBigUint64(24, 1_048_576n);
  view.setUint32(100, 104);
  change(view);
  return bytes;
}

test("qcow2HeaderProblem() refuses disks that name other files, and what it does not know", () => {
  assert.equal(qcow2HeaderProblem(header()), undefined);
  assert.equal(qcow2HeaderProblem(header((view) => view.setBigUint64(72, 1n))), undefined); // dirty: QEMU repairs it
  const wrong: readonly [RegExp, Uint8Array][] = [
    [/not a qcow2/, new Uint8Array(104)],
    [/not a qcow2/, header().subarray(0, 71)],
    [/cut short/, header().subarray(0, 103)],
    [/version 1/, header((view) => view.setUint32(4, 1))],
    [/version 4/, header((view) => view.setUint32(4, 4))],
    [/backing file/, header((view) => view.setBigUint64(8, 0x200n))],
    [/backing file/, header((view) => view.setUint32(16, 1))],
    [/encrypted/, header((view) => view.setUint32(32, 2))],
    [/data file/, header((view) => view.setBigUint64(72, 0b101n))],
    [/corrupt/, header((view) => view.setBigUint64(72, 0b10n))],
    [/size is 0/, header((view) => view.setBigUint64(24, 0n))],
  ];
  for (const [problem, bytes] of wrong) assert.match(qcow2HeaderProblem(bytes) ?? "", problem);
  // In version 2 there are no such bits: what lies there is something else.
  const old = header((view) => {
    view.setUint32(4, 2);
    view.setBigUint64(72, 0b111n);
  });
  assert.equal(qcow2HeaderProblem(old), undefined);
});

test(
  "qcow2Problem() agrees with qemu-img about its disks",
  () => {
    using directory = temporaryDirectory();
    const make = (name: string, ...args: readonly string[]) => {
      execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...args], { cwd: directory.path });
      return qcow2Problem(join(directory.path, name));
    };
    writeFileSync(join(directory.path, "secret"), new Uint8Array(65_536));
    assert.equal(make("plain", "plain", "1M"), undefined);
    assert.equal(make("old", "-o", "compat=0.10", "old", "1M"), undefined);
    assert.equal(make("small", "-o", "cluster_size=4k,lazy_refcounts=on", "small", "1M"), undefined);
    assert.match(make("backed", "-b", "secret", "-F", "raw", "backed") ?? "", /backing file/);
    const outside = ["-o", "data_file=outside,data_file_raw=on", "data", "1M"];
    assert.match(make("data", ...outside) ?? "", /data file/);
    assert.match(qcow2Problem(join(directory.path, "secret")) ?? "", /not a qcow2/);
  },
  { missing },
);
