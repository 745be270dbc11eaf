/** Errors of patches. @module */
import { MicrosandboxError, messageOf } from "../../base/errors.ts";
import { type Patch, type PatchKind, patchTarget } from "../../options/patch_options.ts";
import { FileExistsError, FileNotFoundError } from "../files/errors.ts";

/** A change to the files of a new sandbox could not be made (`patchFailed`). `cause` says why. Nothing of the sandbox is left. */
export class PatchFailedError extends MicrosandboxError {
  /** Which of the patches it is, from 0. */
  readonly index: number;
  /** What it was to do. */
  readonly kind: PatchKind;
  /** Where in the sandbox. */
  readonly target: string;

  /** @internal */
  constructor(index: number, patch: Patch, cause: unknown) {
    const target = patchTarget(patch);
    const reason = MicrosandboxError.is(cause) ? cause.summary : messageOf(cause);
    super(
      "patchFailed",
      `Cannot apply patches[${index}] (${patch.kind} ${JSON.stringify(target)}): ${reason}`,
      {
        cause,
        hint: hintFor(patch, cause),
      },
    );
    this.index = index;
    this.kind = patch.kind;
    this.target = target;
  }
}

function hintFor({ kind }: Patch, cause: unknown): string | undefined {
  if (cause instanceof FileExistsError && kind !== "mkdir")
    return "pass { replace: true }, or remove() it first";
  if (cause instanceof FileNotFoundError && kind === "append") return "write it with text()";
  return MicrosandboxError.is(cause) ? cause.hint : undefined;
}
