/** The system records that frame each boot of a sandbox. Written by the VM host process, known to readers. @module */

/** The first system record of a boot. */
export const SANDBOX_STARTED_TEXT = "--- sandbox started ---";

/** The last system record of an orderly stop: readers take it as the end when the logs are removed under them. */
export const SANDBOX_STOPPED_TEXT = "--- sandbox stopped ---";
