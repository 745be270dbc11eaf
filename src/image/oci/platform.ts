/**
 * Chooses the variant of a multi-platform image that a VM on this machine can run.
 *
 * Source: OCI Image Specification 1.1, image-index.md, section "platform"; names as in Go's GOOS and GOARCH.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";

/** An operating system and a processor. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
}

const PLATFORM_PATTERN = /^([a-z0-9_.-]+)\/([a-z0-9_.-]+)(?:\/([a-z0-9_.-]+))?$/;

/** Returns Linux on this machine's processor; the guest is always Linux. */
export function hostPlatform(): Platform {
  return normalise("linux", process.arch === "x64" ? "amd64" : process.arch, undefined);
}

/**
 * Parses `"os/architecture"` or `"os/architecture/variant"`, e.g. `"linux/arm64"`.
 *
 * @throws {InvalidConfigError} The text has neither form.
 */
export function parsePlatform(text: string): Platform {
  const match = PLATFORM_PATTERN.exec(text);
  if (match === null) {
    const problem = `must look like "linux/amd64" or "linux/arm/v7": current value is "${text}"`;
    throw new InvalidConfigError([{ field: "platform", problem }]);
  }
  return normalise(match[1]!, match[2]!, match[3]);
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/**
 * Returns how well an offered platform fits the wanted one: 0 if not at all, higher is better. An offer without a
 * variant fits any; an older ARM variant runs on a newer one.
 */
export function platformScore(wanted: Platform, offered: Partial<Platform>): number {
  const offer = normalise(offered.os ?? "", offered.architecture ?? "", offered.variant);
  if (offer.os !== wanted.os || offer.architecture !== wanted.architecture) return 0;
  if (offer.variant === wanted.variant) return 100;
  if (offer.variant === undefined || wanted.variant === undefined) return 50;
  const [offeredLevel, wantedLevel] = [variantLevel(offer.variant), variantLevel(wanted.variant)];
  return offeredLevel < wantedLevel ? 1 + offeredLevel : 0;
}

/** One spelling for each platform: `x86_64` is `amd64`, `arm64` is `arm64/v8` with the variant left out. */
function normalise(os: string, architecture: string, variant: string | undefined): Platform {
  const given = architecture.toLowerCase();
  const name = ARCHITECTURE_ALIASES.get(given) ?? given;
  let level: string | undefined = variant === "" ? undefined : variant?.toLowerCase();
  if ((name === "arm64" && (level === "v8" || level === "8")) || (name === "amd64" && level === "v1")) {
    level = undefined; // the baseline of the architecture
  }
  if (name === "arm" && level === undefined) level = "v7";
  if (level !== undefined && /^[0-9]+$/.test(level)) level = `v${level}`;
  return { os: os.toLowerCase(), architecture: name, variant: level };
}

const ARCHITECTURE_ALIASES = new Map([
  ["x86_64", "amd64"],
  ["x86-64", "amd64"],
  ["aarch64", "arm64"],
  ["armhf", "arm"],
  ["i386", "386"],
  ["ia32", "386"],
  ["x64", "amd64"],
]);

function variantLevel(variant: string): number {
  const match = /^v([0-9]{1,2})$/.exec(variant);
  return match === null ? 99 : Number(match[1]);
}
