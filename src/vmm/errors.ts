/** Errors of starting a VM. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions, RuntimeError } from "../base/errors.ts";
import type { BootStep } from "./host_protocol.ts";

/**
 * The sandbox's VM did not come up. Where an error of this library is behind it, that is its `cause`, by whose `code` a full
 * disk (`"diskFull"`) or a late guest (`"timeout"`) can be told from others.
 */
export class BootStartError extends RuntimeError {
  /** The name of the sandbox that did not come up. */
  readonly sandbox: string;
  /** How far it got: the step that failed. */
  readonly step: BootStep;
  /** The last lines of the guest kernel's console. */
  readonly consoleTail: string;
  /** The last lines of the engine's own messages. */
  readonly diagnosticsTail: string;

  /** @internal */
  constructor(
    sandbox: string,
    step: BootStep,
    reason: string,
    tails: { readonly console: string; readonly diagnostics: string },
    options?: MicrosandboxErrorOptions,
  ) {
    const console = tails.console === "" ? "" : `\n  kernel console:\n${indent(tails.console)}`;
    const diagnostics = tails.diagnostics === "" ? "" : `\n  engine:\n${indent(tails.diagnostics)}`;
    super(
      "bootStart",
      `Cannot boot ${JSON.stringify(sandbox)} (at step ${step}): ${reason}${console}${diagnostics}`,
      options,
    );
    this.sandbox = sandbox;
    this.step = step;
    this.consoleTail = tails.console;
    this.diagnosticsTail = tails.diagnostics;
  }
}

/** Another sandbox that runs has the disk, and one of both can write to it. */
export class DiskInUseError extends MicrosandboxError {
  /** The disk's path on this machine. */
  readonly path: string;

  /** @internal */
  constructor(path: string, options?: MicrosandboxErrorOptions) {
    super("diskInUse", `The disk ${path} is in use by a sandbox that runs`, {
      hint: "stop that sandbox; or mount the disk with readonly in all that share it",
      ...options,
    });
    this.path = path;
  }
}

/** No engine can run VMs on this machine, or not the one that was asked for. */
export class EngineUnavailableError extends RuntimeError {
  /** What is missing, e.g. `"qemu: qemu-system-x86_64 is not installed"`. */
  readonly problems: readonly string[];

  /** @internal */
  constructor(problems: readonly string[], options?: MicrosandboxErrorOptions) {
    const lines = problems.map((problem) => `\n  ${problem}`);
    super("engineUnavailable", `No engine can run VMs here:${lines.join("")}`, options);
    this.problems = problems;
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `    ${line.trimEnd()}`)
    .join("\n");
}
