/**
 * Image references: `alpine`, `mirror.gcr.io/library/alpine:3.22`, `localhost:5000/team/app@sha256:…`.
 *
 * The grammar is that of the "distribution" project (github.com/distribution/reference, reference.go), with the
 * defaults that Docker users expect: registry `docker.io`, repository prefix `library/`, tag `latest`.
 *
 * @module
 */
import { type Digest, isDigest } from "./digest.ts";
import { ImageReferenceInvalidError } from "./errors.ts";

/** A reference in its parts, with defaults filled in. */
export interface ImageReference {
  /** Host, with the port if there is one, e.g. `"docker.io"`. */
  readonly registry: string;
  /** Path in the registry, e.g. `"library/alpine"`. */
  readonly repository: string;
  /** `undefined` only if there is a digest. */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

/** Registry of references that do not name one. */
export const DEFAULT_REGISTRY = "docker.io";
/** Tag of references that have neither a tag nor a digest. */
export const DEFAULT_TAG = "latest";
/** Longest `registry/repository`, in characters. */
export const NAME_CHARACTERS_MAX = 255;
/** Longest text to parse, in characters. */
export const REFERENCE_CHARACTERS_MAX = 1024;

const HOST_LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const REGISTRY_PATTERN = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[a-fA-F0-9:]+\\])(?::([0-9]+))?$`,
);
const PATH_COMPONENT_PATTERN = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG_PATTERN = /^\w[\w.-]{0,127}$/;
const PORT_MAX = 65_535;

/**
 * Parses a reference.
 *
 * @throws {ImageReferenceInvalidError} `part` tells which part is wrong.
 *
 * @example
 * ```ts no-vm
 * import { parseReference } from "./reference.ts";
 *
 * console.log(parseReference("alpine").repository); // "library/alpine"
 * ```
 */
export function parseReference(text: string): ImageReference {
  if (typeof text !== "string")
    throw new ImageReferenceInvalidError(String(text), "reference", "must be a string");
  if (text === "") throw new ImageReferenceInvalidError(text, "reference", "is empty");
  if (text.length > REFERENCE_CHARACTERS_MAX) {
    const shown = `${text.slice(0, 64)}…`;
    throw new ImageReferenceInvalidError(
      shown,
      "reference",
      `is longer than ${REFERENCE_CHARACTERS_MAX} characters`,
    );
  }
  if (/\s/.test(text)) throw new ImageReferenceInvalidError(text, "reference", "contains white space");
  if (text.includes("://")) {
    throw new ImageReferenceInvalidError(text, "registry", "must not have a scheme", {
      hint: "leave out https://; for plain HTTP set the registry option `insecure`",
    });
  }

  const { name, digest } = splitDigest(text);
  const { path, tag } = splitTag(text, name);
  const { registry, repository } = splitRegistry(text, path);
  return { registry, repository, tag: tag ?? (digest === undefined ? DEFAULT_TAG : undefined), digest };
}

/** Returns the full spelling. Equal references give equal text. */
export function formatReference(reference: ImageReference): string {
  const { registry, repository, tag, digest } = reference;
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

function splitDigest(text: string): { name: string; digest: Digest | undefined } {
  const at = text.indexOf("@");
  if (at === -1) return { name: text, digest: undefined };
  const digest = text.slice(at + 1);
  if (!isDigest(digest)) {
    throw new ImageReferenceInvalidError(
      text,
      "digest",
      `must be sha256: and 64 hex digits: current value is "${digest}"`,
    );
  }
  return { name: text.slice(0, at), digest };
}

function splitTag(text: string, name: string): { path: string; tag: string | undefined } {
  const colon = name.lastIndexOf(":");
  if (colon === -1 || name.indexOf("/", colon) !== -1) return { path: name, tag: undefined }; // a port's colon
  const tag = name.slice(colon + 1);
  if (!TAG_PATTERN.test(tag)) {
    throw new ImageReferenceInvalidError(
      text,
      "tag",
      `must be 1 to 128 of letters, digits, "_", "." and "-", and start with none of the last two: current value is "${tag}"`,
    );
  }
  return { path: name.slice(0, colon), tag };
}

function splitRegistry(text: string, path: string): { registry: string; repository: string } {
  const slash = path.indexOf("/");
  const first = slash === -1 ? "" : path.slice(0, slash);
  const named = /[.:[A-Z]/.test(first) || first === "localhost";
  let registry = named ? first : DEFAULT_REGISTRY;
  let repository = named ? path.slice(slash + 1) : path;

  const match = REGISTRY_PATTERN.exec(registry);
  if (match === null) {
    throw new ImageReferenceInvalidError(
      text,
      "registry",
      `must be a host with an optional port: current value is "${registry}"`,
      { hint: "a path on this machine begins with ./, ../ or /" },
    );
  }
  if (match[1] !== undefined && (Number(match[1]) === 0 || Number(match[1]) > PORT_MAX)) {
    throw new ImageReferenceInvalidError(
      text,
      "registry",
      `must have a port of 1 to ${PORT_MAX}: current value is ${match[1]}`,
    );
  }
  if (registry === "index.docker.io") registry = DEFAULT_REGISTRY;
  if (registry === DEFAULT_REGISTRY && !repository.includes("/")) repository = `library/${repository}`;
  checkRepository(text, registry, repository, path);
  return { registry, repository };
}

function checkRepository(text: string, registry: string, repository: string, path: string): void {
  if (registry.length + 1 + repository.length > NAME_CHARACTERS_MAX) {
    throw new ImageReferenceInvalidError(
      text,
      "repository",
      `is longer than ${NAME_CHARACTERS_MAX} characters`,
    );
  }
  if (/^[0-9a-f]{64}$/.test(path)) {
    throw new ImageReferenceInvalidError(text, "repository", "is an image ID, which no registry can look up");
  }
  for (const component of repository.split("/")) {
    if (PATH_COMPONENT_PATTERN.test(component)) continue;
    const hint = /[A-Z]/.test(component) ? "use lower case" : undefined;
    throw new ImageReferenceInvalidError(
      text,
      "repository",
      `must be lower-case letters and digits, with single separators between them: current component is "${component}"`,
      { hint },
    );
  }
}
