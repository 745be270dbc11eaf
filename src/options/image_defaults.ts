/** Defaults of an image for its programs, as they are stored with a sandbox. @module */
import { z } from "zod";

/** Defaults that an image has for its programs. */
export interface ImageDefaults {
  /** ENTRYPOINT: the main program and its first arguments. */
  readonly entrypoint?: readonly string[] | undefined;
  /** CMD: the arguments after `entrypoint`, or the main command if `entrypoint` is absent. */
  readonly cmd?: readonly string[] | undefined;
  /** ENV, as `NAME=value`. */
  readonly env?: readonly string[] | undefined;
  /** WORKDIR: where programs start. */
  readonly workingDir?: string | undefined;
  /** USER: the user that programs run as. */
  readonly user?: string | undefined;
  /** LABEL, as far as a sandbox can have such labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

const storedStrings = z.array(z.string());

/** {@linkcode ImageDefaults} as they are stored. */
export const storedImageDefaultsSchema = z.object({
  entrypoint: storedStrings.optional(),
  cmd: storedStrings.optional(),
  env: storedStrings.optional(),
  workingDir: z.string().optional(),
  user: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
});
