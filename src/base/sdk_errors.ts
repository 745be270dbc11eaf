/**
 * Errors of the known SDK (npm `microsandbox` 0.6) about what this library does not have. They are here so that a program
 * which imports and expects them loads and runs; nothing here throws them.
 *
 * @module
 */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "./errors.ts";

/** Of sandboxes in a cloud: never thrown. */
export class CloudHttpError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("cloudHttp", message, options);
  }
}

/** Of the terminal of this process: never thrown. */
export class TerminalError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("terminal", message, options);
  }
}

/** Of files of a guest by calls of their own: never thrown. */
export class SandboxFsOpsError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("sandboxFsOps", message, options);
  }
}

/** Of volumes: never thrown. */
export class VolumeNotFoundError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("volumeNotFound", message, options);
  }
}

/** Of volumes: never thrown. */
export class VolumeAlreadyExistsError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("volumeAlreadyExists", message, options);
  }
}

/** Of changes to an image's files before the boot: never thrown. */
export class PatchFailedError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("patchFailed", message, options);
  }
}

/** Of measurements of a guest: never thrown. */
export class MetricsDisabledError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("metricsDisabled", message, options);
  }
}

/** Of measurements of a guest: never thrown. */
export class MetricsUnavailableError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("metricsUnavailable", message, options);
  }
}
