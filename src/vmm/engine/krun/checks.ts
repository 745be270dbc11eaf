/** What krun needs of this machine: KVM, libkrun and its kernel. @module */
import { VIRTIO_DEVICES_MAX } from "../../../ffi/krun_checks.ts";
import { findLibkrun } from "../../../ffi/library_search.ts";
import type { EngineChecks } from "../checks.ts";

/** Where krun's library is. */
export interface KrunFiles {
  /** File or directory of libkrun. @default {process.env.MSB_LIBKRUN} */
  readonly libkrunPath?: string | undefined;
}

/** What of krun is on this machine. */
export interface KrunFindings {
  /** File of libkrun, if there is one that can be used. */
  readonly libkrun: string | undefined;
}

/** What krun alone can miss. */
export type KrunProblem = "libkrunMissing";

/** See the module comment. */
export const krunChecks: EngineChecks<KrunFiles, KrunFindings, KrunProblem> = {
  name: "krun",
  file: {
    field: "libkrun",
    missing: "libkrunMissing",
    find: ({ libkrunPath }) => findLibkrun({ path: libkrunPath }).path,
  },
  devices: {
    max: VIRTIO_DEVICES_MAX,
    own: 4, // the balloon, the random source, the kernel's console, and the agent's
    diskFormats: ["raw"],
    formatReason: "libkrun keeps part of such a disk in memory, which is lost when the VM ends",
    cutsDisks: true, // 1.17
  },
  needsKvm: true,
  works: ({ kvm, libkrun, libkrunfw }) => kvm && libkrun !== undefined && libkrunfw !== undefined,
  describe: () => "KVM and libkrun are there",
};
