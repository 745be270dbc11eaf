/** Failures of tools, as they are reported to a model. @module */
import { InvalidConfigError, MicrosandboxError } from "../../../mod.ts";

/** A rule of this server forbids it: a limit, or an image that is not allowed. */
export class ToolError extends Error {
  readonly code: "notAllowed" | "limitReached";
  readonly hint: string;

  constructor(code: "notAllowed" | "limitReached", message: string, hint: string) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.hint = hint;
  }
}

/** An error as the field `error` of an answer. */
export interface ToldError {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** The wrong fields, if the error is about fields. */
  readonly issues?: readonly { readonly field: string; readonly problem: string }[];
}

/** How any error is reported. */
export function toldError(error: unknown): ToldError {
  if (MicrosandboxError.is(error)) {
    return {
      code: error.code,
      message: error.summary,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(error instanceof InvalidConfigError ? { issues: error.issues } : {}),
    };
  }
  if (error instanceof ToolError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: "internal", message: error instanceof Error ? error.message : String(error) };
}
