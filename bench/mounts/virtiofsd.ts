/**
 * QEMU's own virtiofsd beside our mounts, in the same VM: a QEMU with one more device. Debian has the daemon in
 * qemu-system-common.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram } from "../../src/platform/find_program.ts";
import { QEMU_PROGRAM } from "../../src/vmm/engine/qemu/qemu_command.ts";

const DAEMON = "/usr/lib/qemu/virtiofsd";
const TAG = "peer";
const SOCKET_WAIT_MS = 5000;

export interface VirtiofsPeer extends Disposable {
  /** What it is mounted by. */
  readonly tag: string;
}

/**
 * Serves `shared` by virtiofsd, and makes the sandboxes of this process use a QEMU with the device. `undefined` if the
 * daemon is missing.
 */
export async function startVirtiofsd(
  directory: string,
  shared: string,
  memoryMiB: number,
): Promise<VirtiofsPeer | undefined> {
  const qemu = process.env["MSB_QEMU"] ?? findProgram(QEMU_PROGRAM);
  if (!existsSync(DAEMON) || qemu === undefined) return undefined;
  const socket = join(directory, "virtiofsd.sock");
  // Skips its namespaces: they are not measured, and not every machine has them.
  const args = [
    `--socket-path=${socket}`,
    "-o",
    `source=${shared}`,
    "-o",
    "sandbox=chroot",
    "-o",
    "log_level=err",
  ];
  const daemon = spawn(DAEMON, args, { stdio: ["ignore", "ignore", "inherit"] });
  for (const begin = performance.now(); !existsSync(socket); await sleep(10))
    if (performance.now() - begin > SOCKET_WAIT_MS) throw new Error("virtiofsd does not listen");
  const program = join(directory, "qemu-with-virtiofs");
  const more = [
    ...["-global", "virtio-mmio.force-legacy=false"], // libvhost-user knows devices of version 1 only
    ...[
      "-object",
      `memory-backend-memfd,id=shared,size=${memoryMiB}M,share=on`,
      "-machine",
      "memory-backend=shared",
    ],
    ...[
      "-chardev",
      `socket,id=peer,path=${socket}`,
      "-device",
      `vhost-user-fs-device,chardev=peer,tag=${TAG}`,
    ],
  ];
  // Other calls, such as `--version`, get no extra devices.
  writeFileSync(
    program,
    `#!/bin/sh\ncase " $* " in *" -kernel "*) set -- "$@" ${more.join(" ")};; esac\nexec ${qemu} "$@"\n`,
    { mode: 0o755 },
  );
  const before = process.env["MSB_QEMU"];
  process.env["MSB_QEMU"] = program;
  return {
    tag: TAG,
    [Symbol.dispose]() {
      if (before === undefined) delete process.env["MSB_QEMU"];
      else process.env["MSB_QEMU"] = before;
      daemon.kill("SIGKILL");
    },
  };
}
