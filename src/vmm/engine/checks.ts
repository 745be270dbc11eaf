/**
 * What an engine needs of this machine, asked in the user's process: it never loads libkrun.
 *
 * Each engine's folder has its own part of these types; `engines.ts` puts them together.
 *
 * @module
 */
import type { EngineName } from "../../base/engine_name.ts";
import type { DiskFormat } from "../host_protocol.ts";

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

/** How many devices a VM can have, and which disks. */
export interface EngineDevices {
  /** Virtio devices in all. */
  readonly max: number;
  /** Those that every VM has, other than disks. */
  readonly own: number;
  /** The formats of disks. */
  readonly diskFormats: readonly DiskFormat[];
  /** Why it has no others, as the end of a sentence; `""` if it has all. */
  readonly formatReason: string;
  /** Whether it cuts a disk's file short when the guest discards the last blocks. */
  readonly cutsDisks: boolean;
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
  /** What a VM of it can have. */
  readonly devices: EngineDevices;
  /** Whether a machine without KVM is a problem for it. */
  readonly needsKvm: boolean;
  works(found: CommonFindings & Findings): boolean;
  /** How it would run, as the end of a sentence. */
  describe(found: CommonFindings & Findings): string;
}
