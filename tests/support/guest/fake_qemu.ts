/**
 * VMs without a machine: a program in QEMU's place, which does to the host what QEMU does and then is the guest's agent.
 * All else is the product's own, so that tests can have many boots and many ends in little time.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../../../src/platform/find_program.ts";
import { nativeAgentPath } from "./native_agent.ts";

const SOURCE = fileURLToPath(new URL("./fake_qemu.c", import.meta.url));
const COMPILER = findProgram("musl-gcc") ?? findProgram("cc");

/** Why it cannot be had; `undefined` where it can. */
export const fakeQemuProblem: string | undefined =
  COMPILER === undefined ? "no C compiler for what stands in for QEMU" : undefined;

/** QEMU for this process and those that it starts, while it lasts. */
export class FakeQemu implements Disposable {
  readonly #before = new Map<string, string | undefined>();

  /** Is compiled into `directory`. Of `bootsPerHang` boots, about one hangs; with 0, none does. */
  constructor(directory: string, bootsPerHang: number) {
    const program = join(directory, "fake-qemu");
    execFileSync(COMPILER ?? "", ["-O1", "-o", program, SOURCE]);
    this.#set("MSB_QEMU", program);
    this.#set("PATH", `${this.#keepCapabilities(directory)}:${process.env["PATH"]}`);
    this.#set("MSB_TEST_AGENT", nativeAgentPath());
    this.#set("MSB_TEST_HANGS", String(bootsPerHang));
  }

  /**
   * QEMU has no capabilities, and without them root cannot become whom a program is to run as, be it root: a setpriv that
   * leaves them, in a directory to be searched first.
   */
  #keepCapabilities(directory: string): string {
    const programs = join(directory, "programs");
    mkdirSync(programs);
    const setpriv = findProgram("setpriv") ?? "";
    const text = [
      "#!/bin/sh",
      'for word in "$@"; do',
      "  shift",
      '  case $word in --inh-caps=* | --bounding-set=*) ;; *) set -- "$@" "$word" ;; esac',
      "done",
      `exec ${setpriv} "$@"`,
    ];
    writeFileSync(join(programs, "setpriv"), `${text.join("\n")}\n`, { mode: 0o755 });
    return programs;
  }

  [Symbol.dispose](): void {
    for (const [name, value] of this.#before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }

  #set(name: string, value: string): void {
    this.#before.set(name, process.env[name]);
    process.env[name] = value;
  }
}
