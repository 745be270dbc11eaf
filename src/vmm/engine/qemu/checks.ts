/** What QEMU needs of this machine: its program, and libkrun's kernel. KVM makes it fast. @module */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { UnsupportedError } from "../../../base/errors.ts";
import { findProgram, isProgram } from "../../../platform/find_program.ts";
import { checkTrusted } from "../../../platform/trust.ts";
import type { EngineChecks } from "../checks.ts";
import { QEMU_PROGRAM } from "./qemu_command.ts";

/** Where QEMU is. */
export interface QemuFiles {
  /** QEMU's program. @default {process.env.MSB_QEMU} */
  readonly qemuPath?: string | undefined;
}

/** What of QEMU is on this machine. */
export interface QemuFindings {
  /** QEMU's program, if there is one that can be used. */
  readonly qemu: string | undefined;
}

/** What QEMU alone can miss. */
export type QemuProblem = "qemuMissing";

/** Virtio devices of a machine `microvm` without ACPI (QEMU, hw/i386/microvm.c: `virtio_num_transports`). */
const TRANSPORTS = 8;

/** See the module comment. */
export const qemuChecks: EngineChecks<QemuFiles, QemuFindings, QemuProblem> = {
  name: "qemu",
  file: {
    field: "qemu",
    missing: "qemuMissing",
    find: ({ qemuPath = process.env["MSB_QEMU"] || undefined }) => locateQemu(qemuPath),
  },
  devices: {
    max: TRANSPORTS,
    own: 2, // the console, and the random source
    diskFormats: ["raw", "qcow2"],
    formatReason: "",
    cutsDisks: false,
  },
  needsKvm: false,
  works: ({ qemu, libkrunfw }) => qemu !== undefined && libkrunfw !== undefined,
  describe: ({ kvm }) => (kvm ? "with KVM" : "by emulation, which is slow"),
};

const QEMU_INSTALL_HINT = `apt-get install ${process.arch === "arm64" ? "qemu-system-arm" : "qemu-system-x86"}`;

/** @throws {UnsupportedError | UntrustedPathError} if there is none that can be used. */
function locateQemu(chosen: string | undefined): string {
  if (chosen !== undefined && statSync(chosen, { throwIfNoEntry: false })?.isFile()) {
    const path = resolve(chosen); // the VM host process has another working directory
    if (!isProgram(path))
      throw new UnsupportedError(`${path} cannot be executed`, { hint: `chmod u+x ${path}` });
    checkTrusted(path);
    return path;
  }
  const program = findProgram(chosen ?? QEMU_PROGRAM);
  if (program !== undefined) return program;
  if (chosen === undefined)
    throw new UnsupportedError(`${QEMU_PROGRAM} is not installed`, { hint: QEMU_INSTALL_HINT });
  throw new UnsupportedError(`Cannot find QEMU: ${chosen} is neither a program nor the name of one in PATH`, {
    hint: "correct MSB_QEMU, or unset it",
  });
}
