/**
 * What an engine needs of this machine, asked in the user's process: it never loads libkrun.
 *
 * Each engine's folder has its own part of these types; `engines.ts` puts them together.
 *
 * @module
 */
import type { EngineName } from "../../base/engine_name.ts";

/** Where the guest's kernel is, which all engines boot. */
export interface KernelFiles {
  /** File or directory of libkrunfw. @default {process.env.MSB_LIBKRUNFW} */
  readonly libkrunfwPath?: string | undefined;
}

/** What was found on this machine that more than one engine needs. */
export interface CommonFindings {
  /** Whether KVM runs guests here. Without it, QEMU emulates the processor. */
  readonly kvm: boolean;
  /** File of libkrunfw, if there is one that can be used. */
  readonly libkrunfw: string | undefined;
}

/** The part of an engine that decides whether it can run here. */
export interface EngineChecks<Files, Findings, Problem extends string> {
  readonly name: EngineName;
  /** The library or program that only this engine needs: its field in the report, the problem without it, its search. */
  readonly file: {
    readonly field: keyof Findings & string;
    readonly missing: Problem;
    /** @throws {MicrosandboxError} saying what is missing, and what to do about it. */
    find(files: Files): string;
  };
  /** Whether a machine without KVM is a problem for it. */
  readonly needsKvm: boolean;
  works(found: CommonFindings & Findings): boolean;
  /** How it would run, as the end of a sentence. */
  describe(found: CommonFindings & Findings): string;
}
