/**
 * Reads an image's configuration: what its programs expect (environment, user, command), and the diff IDs of its
 * layers.
 *
 * Source: OCI Image Specification 1.1, config.md.
 *
 * @module
 */
import { z } from "zod";
import { type Digest, isDigest } from "./digest.ts";
import { ImageManifestInvalidError } from "./errors.ts";
import { decodeJson, LAYERS_MAX } from "./manifest.ts";

/** Largest configuration blob, in bytes. */
export const CONFIG_BYTES_MAX = 8 * 1024 * 1024;

/**
 * Most bytes, as JSON, of the part of a configuration that is kept. That part is sent to the process that hosts the VM
 * and becomes part of a snapshot's descriptor; both have larger limits of their own. Real images need a few kilobytes.
 */
export const IMAGE_CONFIG_BYTES_MAX = 512 * 1024;

/** How an image's programs are to be run: the instructions of its Dockerfile. */
export interface ImageConfig {
  /** ENTRYPOINT; `execDefault` runs it followed by `cmd`. */
  readonly entrypoint?: readonly string[] | undefined;
  /** CMD. */
  readonly cmd?: readonly string[] | undefined;
  /** ENV: strings `NAME=value`. If a name occurs twice, the last one counts. */
  readonly env: readonly string[];
  /** WORKDIR. */
  readonly workingDir?: string | undefined;
  /** USER: a name or number, with an optional `:group`. */
  readonly user?: string | undefined;
  /** LABEL. */
  readonly labels: Readonly<Record<string, string>>;
  /** EXPOSE, e.g. `["80/tcp"]`. */
  readonly exposedPorts: readonly string[];
  /** VOLUME, absolute paths. */
  readonly volumes: readonly string[];
  /** STOPSIGNAL, e.g. `"SIGQUIT"`. */
  readonly stopSignal?: string | undefined;
}

/** A parsed configuration blob. */
export interface ImageConfigFile {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
  /** RFC 3339. */
  readonly created: string | undefined;
  readonly config: ImageConfig;
  /** Digests of the uncompressed layers, from the lowest to the highest. */
  readonly diffIds: readonly Digest[];
}

/** Configuration of an image that has none, such as a plain directory. */
export const EMPTY_IMAGE_CONFIG: ImageConfig = Object.freeze({
  env: [],
  labels: {},
  exposedPorts: [],
  volumes: [],
});

const strings = z.array(z.string()).nullish();
const keys = z.record(z.string(), z.unknown()).nullish();

const configFileSchema = z.object({
  os: z.string().default(""),
  architecture: z.string().default(""),
  variant: z.string().nullish(),
  created: z.string().nullish(),
  config: z
    .object({
      Entrypoint: strings,
      Cmd: strings,
      Env: strings,
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
      ExposedPorts: keys,
      Volumes: keys,
      StopSignal: z.string().nullish(),
    })
    .nullish(),
  rootfs: z.object({
    diff_ids: z
      .array(z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "must be a digest"))
      .max(LAYERS_MAX)
      .nullish(),
  }),
});

/**
 * Parses a configuration blob.
 *
 * @throws {ImageManifestInvalidError} The blob is not a configuration, or exceeds {@linkcode IMAGE_CONFIG_BYTES_MAX}.
 */
export function decodeImageConfig(bytes: Uint8Array, subject: string): ImageConfigFile {
  const file = decodeJson(bytes, configFileSchema, CONFIG_BYTES_MAX, subject);
  const run = file.config ?? {};
  const read: ImageConfigFile = {
    os: file.os,
    architecture: file.architecture,
    variant: file.variant || undefined,
    created: file.created || undefined,
    diffIds: file.rootfs.diff_ids ?? [],
    config: {
      ...(run.Entrypoint?.length ? { entrypoint: run.Entrypoint } : {}),
      ...(run.Cmd?.length ? { cmd: run.Cmd } : {}),
      env: run.Env ?? [],
      ...(run.WorkingDir ? { workingDir: run.WorkingDir } : {}),
      ...(run.User ? { user: run.User } : {}),
      labels: run.Labels ?? {},
      exposedPorts: Object.keys(run.ExposedPorts ?? {}),
      volumes: Object.keys(run.Volumes ?? {}),
      ...(run.StopSignal ? { stopSignal: run.StopSignal } : {}),
    },
  };
  const sizeBytes = Buffer.byteLength(JSON.stringify(read.config));
  if (sizeBytes > IMAGE_CONFIG_BYTES_MAX) {
    const problem = `its environment, commands and labels take ${sizeBytes} bytes: the limit is ${IMAGE_CONFIG_BYTES_MAX}`;
    throw new ImageManifestInvalidError(subject, problem, {
      hint: "Use an image with fewer or shorter ENV and LABEL values.",
    });
  }
  return read;
}
