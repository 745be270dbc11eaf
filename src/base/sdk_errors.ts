/**
 * Error classes of the known SDK (npm `microsandbox` 0.6) for features that this library does not have. They are exported so
 * that a program that imports them loads and runs; nothing throws them.
 *
 * @module
 */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "./errors.ts";

/** About sandboxes in a cloud. Never thrown. */
export class CloudHttpError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("cloudHttp", message, options);
  }
}

/** About a sampler that is off. Never thrown: here nothing samples, and each call measures. */
export class MetricsDisabledError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("metricsDisabled", message, options);
  }
}
