/**
 * What an engine needs of this machine, asked in the user's process: it never loads libkrun.
 *
 * @module
 */
import type { EngineName } from "../../base/engine_name.ts";

/** Where the engines' files are. By default, variables of the environment decide, and then a search. */
export interface EngineFiles {
  /** File or directory of libkrun. @default {process.env.MSB_LIBKRUN} */
  readonly libkrunPath?: string | undefined;
  /** File or directory of libkrunfw. @default {process.env.MSB_LIBKRUNFW} */
  readonly libkrunfwPath?: string | undefined;
  /** QEMU's program. @default {process.env.MSB_QEMU} */
  readonly qemuPath?: string | undefined;
}

/** What was found on this machine, as {@linkcode DoctorReport} has it. */
export interface MachineFindings {
  readonly kvm: boolean;
  readonly libkrun: string | undefined;
  readonly libkrunfw: string | undefined;
  readonly qemu: string | undefined;
}

/** The part of an engine that decides whether it can run here. */
export interface EngineChecks {
  readonly name: EngineName;
  /** The library or program that only this engine needs: its field in the report, the problem without it, its search. */
  readonly file: {
    readonly field: "libkrun" | "qemu";
    readonly missing: "libkrunMissing" | "qemuMissing";
    /** @throws {MicrosandboxError} saying what is missing, and what to do about it. */
    find(files: EngineFiles): string;
  };
  /** Whether a machine without KVM is a problem for it. */
  readonly needsKvm: boolean;
  works(found: MachineFindings): boolean;
  /** How it would run, as the end of a sentence. */
  describe(found: MachineFindings): string;
}
