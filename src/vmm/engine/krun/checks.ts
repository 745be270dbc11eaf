/** What krun needs of this machine: KVM, libkrun and its kernel. @module */
import { findLibkrun } from "../../../ffi/library_search.ts";
import type { EngineChecks } from "../checks.ts";

/** See the module comment. */
export const krunChecks: EngineChecks = {
  name: "krun",
  file: {
    field: "libkrun",
    missing: "libkrunMissing",
    find: ({ libkrunPath }) => findLibkrun({ path: libkrunPath }).path,
  },
  needsKvm: true,
  works: ({ kvm, libkrun, libkrunfw }) => kvm && libkrun !== undefined && libkrunfw !== undefined,
  describe: () => "KVM and libkrun are there",
};
