/**
 * QEMU's command line for one VM.
 *
 * @module
 */
import { join } from "node:path";
import { type DiskConfig, ROOT_PORT } from "../../host_protocol.ts";
import { RunFile } from "../../run_directory/run_directory.ts";
import { AGENT_PORT, KERNEL_WORDS, type VmConfig } from "../engine.ts";
import { SANDBOX_ARGUMENTS } from "./confine_qemu.ts";

/** Debian's package is qemu-system-x86. */
export const QEMU_PROGRAM = process.arch === "arm64" ? "qemu-system-aarch64" : "qemu-system-x86_64";

/**
 * Without "fast" string instructions, which an emulator takes a byte at a time: the guest's kernel copies by eight bytes then,
 * and reads a file twice as fast. And with page tables of four levels, not five, which an emulator has to walk.
 */
const EMULATED_PROCESSOR = "max,-erms,-fsrm,-la57";

/** Reports a failed write to the guest: by default, a full disk of the host would stop the whole VM for good. */
const DRIVE_OPTIONS = "format=raw,if=none,discard=unmap,werror=report,rerror=report";

/**
 * The whole command line after the program's name. `counterKHz` is the speed of the host's time-stamp counter, for a
 * guest that is emulated; without it the guest tries to find out for itself.
 */
export function qemuArguments(config: VmConfig, kernelPath: string, counterKHz?: number): string[] {
  const inRun = (name: string) => escapeOption(join(config.runDirectory, name));
  const words = ["console=hvc0", "reboot=t", "panic=-1", ...KERNEL_WORDS, "quiet"];
  // Documentation/admin-guide/kernel-parameters.txt: skips the kernel's check of its timer, which on a busy host finds it
  // broken, so that the guest panics before it has a console (4 of 292 boots, 20 at a time on two cores; 0 of 400 with this).
  // The kernel then does not use cmpxchg16b. Emulated by QEMU 7.2, it leaves a pointer in the flags register, with the bit
  // of virtual 8086 mode; an interrupt in that moment is a double fault (2 of 400 boots). Programs still see it in CPUID.
  if (!config.kvm) words.push("no_timer_check", "clearcpuid=cx16");
  // Ibid.: the speed is neither measured nor doubted.
  if (counterKHz !== undefined) words.push(`tsc_early_khz=${counterKHz}`, "tsc=reliable");
  return [
    // No ACPI, so that the devices are announced on the kernel's command line as libkrun does it. The timer, interrupt
    // and clock chips stay on: without any one of them this kernel hangs under emulation.
    ...["-M", "microvm,x-option-roms=off,isa-serial=off,acpi=off"],
    ...(config.kvm
      ? ["-accel", "kvm", "-cpu", "host"]
      : ["-accel", "tcg,thread=multi", "-cpu", EMULATED_PROCESSOR]),
    ...["-m", String(config.memoryMiB), "-smp", String(config.cpus)],
    ...SANDBOX_ARGUMENTS,
    ...["-name", "sandbox,debug-threads=on"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", kernelPath, "-append", words.join(" ")],
    ...config.disks.flatMap(diskArguments),
    // The kernel allocates queues for as many as there may be.
    ...["-device", `virtio-serial-device,max_ports=${config.hasRootPort ? 3 : 2}`],
    ...[
      "-chardev",
      `file,path=${inRun(RunFile.console)},id=console`,
      "-device",
      "virtconsole,chardev=console",
    ],
    ...portArguments(AGENT_PORT, inRun(RunFile.agent)),
    ...(config.hasRootPort ? portArguments(ROOT_PORT, inRun(RunFile.root)) : []),
    ...networkArguments(config),
    ...["-device", "virtio-rng-device"],
  ];
}

/** A console port that leads to the unix socket at `path`, which is escaped. */
function portArguments(name: string, path: string): string[] {
  return [
    ...["-chardev", `socket,path=${path},server=off,id=${name}`],
    ...["-device", `virtserialport,chardev=${name},name=${name}`],
  ];
}

function diskArguments({ id, path, readOnly, format = "raw" }: DiskConfig): string[] {
  if (format === "raw") {
    const drive = `id=${id},file=${escapeOption(path)},readonly=${readOnly ? "on" : "off"},${DRIVE_OPTIONS}`;
    return [...["-drive", drive], ...["-device", `virtio-blk-device,drive=${id}`]];
  }
  const node = {
    ...{ driver: format, "node-name": id, "read-only": readOnly, discard: "unmap" },
    backing: null, // whatever its header says: a guest may have written it
    file: { driver: "file", filename: path, discard: "unmap" },
  };
  const device = `virtio-blk-device,drive=${id},werror=report,rerror=report`;
  return [...["-blockdev", JSON.stringify(node)], ...["-device", device]];
}

function networkArguments({ networkDevice }: VmConfig): string[] {
  if (networkDevice === undefined) return [];
  const peer =
    networkDevice.kind === "tap"
      ? `tap,id=network,ifname=${networkDevice.tapName},script=no,downscript=no`
      : `stream,id=network,server=off,addr.type=unix,addr.path=${escapeOption(networkDevice.socketPath)}`;
  return [...["-netdev", peer], ...["-device", `virtio-net-device,netdev=network,mac=${networkDevice.mac}`]];
}

/** QEMU's option syntax ends a value at a comma, unless it is doubled. */
function escapeOption(value: string): string {
  return value.replaceAll(",", ",,");
}
