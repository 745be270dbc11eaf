/**
 * Values of flags: sizes, durations, ports, pairs. What cannot be read is refused with what would do.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { PortOptions, RlimitOptions } from "../../mod.ts";

const DURATION = /^(?<amount>\d+(?:\.\d+)?)(?<unit>ms|s|m|h|d)?$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** What is between two measurements, without a flag. */
export const SAMPLE_INTERVAL_MS = 1000;
const SAMPLE_INTERVAL_MS_MIN = 100;
const SAMPLE_INTERVAL_MS_MAX = 24 * 86_400_000;
const SIZE = /^(?<amount>\d+(?:\.\d+)?)(?<unit>[kmgt])?(?:i?b)?$/i;
const UNIT_MIB: Readonly<Record<string, number>> = { k: 1 / 1024, m: 1, g: 1024, t: 1024 * 1024 };
/** `GUEST` or `HOST:GUEST`, with an optional address before it (IPv6 in brackets) and an optional protocol behind it. */
const PORT =
  /^(?:(?<bind>\d+\.[\d.]+|\[[^\]]+\]):)?(?:(?<host>\d{1,5}):)?(?<guest>\d{1,5})(?:\/(?<protocol>tcp|udp))?$/;
const RLIMIT = /^(?<name>[a-z]+)=(?<soft>\d+|unlimited)(?::(?<hard>\d+|unlimited))?$/;

/** `"500ms"`, `"30s"`, `"5m"`, `"1.5h"`, `"2d"`, or a number of seconds, in milliseconds. */
export function parseDurationMs(text: string): number {
  const { amount, unit = "s" } = DURATION.exec(text)?.groups ?? {};
  if (amount === undefined)
    throw new InvalidArgumentError("It must be a duration such as 500ms, 30s, 5m or 1h.");
  return Math.round(Number(amount) * (UNIT_MS[unit] ?? 1));
}

/** A {@linkcode parseDurationMs} between two measurements, as long as the library takes. */
export function parseSampleInterval(text: string): number {
  const intervalMs = parseDurationMs(text);
  if (intervalMs < SAMPLE_INTERVAL_MS_MIN || intervalMs > SAMPLE_INTERVAL_MS_MAX)
    throw new InvalidArgumentError("It must be at least 100ms and at most 24d.");
  return intervalMs;
}

/** `"512M"`, `"1.5G"`, or a number of MiB, in MiB. */
export function parseSizeMiB(text: string): number {
  const { amount, unit = "m" } = SIZE.exec(text)?.groups ?? {};
  if (amount === undefined) throw new InvalidArgumentError("It must be a size such as 512M or 1G.");
  const sizeMiB = Number(amount) * (UNIT_MIB[unit.toLowerCase()] ?? 1);
  if (!Number.isInteger(sizeMiB)) throw new InvalidArgumentError("It must be whole MiB.");
  return sizeMiB;
}

export function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** `"8080:80"`, `"127.0.0.1:8080:80"`, `"[::1]:8080:80"`, `"5353:53/udp"`; `"80"` alone gets a free host port. */
export function parsePort(text: string): PortOptions {
  const { bind, host, guest, protocol } = PORT.exec(text)?.groups ?? {};
  if (guest === undefined || (host === undefined && bind !== undefined)) {
    throw new InvalidArgumentError(
      "It must be GUEST, HOST:GUEST or ADDRESS:HOST:GUEST, with /udp at the end for UDP.",
    );
  }
  return {
    hostPort: Number(host ?? 0),
    guestPort: Number(guest),
    ...(bind === undefined ? {} : { bind: bind.replace(/^\[(.*)\]$/, "$1") }),
    ...(protocol === "udp" ? { protocol } : {}),
  };
}

/** `"KEY=value"`, or `"KEY"` alone for this process's own variable of that name. */
export function parseEnv(text: string): readonly [string, string] {
  if (text.includes("=")) return parsePair(text);
  const value = process.env[text];
  if (value === undefined) {
    throw new InvalidArgumentError(
      `It must be KEY=VALUE, or the name of a variable that is set; ${text} is not.`,
    );
  }
  return [text, value];
}

/** A file of `KEY=VALUE` lines, as Docker reads it: values are literal; empty lines and lines with `#` first are skipped. */
export function parseEnvFile(path: string): readonly (readonly [string, string])[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.trimStart(), index }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"))
    .map(({ line, index }) => {
      try {
        return parseEnv(line);
      } catch {
        throw new InvalidArgumentError(
          `Line ${index + 1} of ${path} must be KEY=VALUE, or the name of a set variable.`,
        );
      }
    });
}

/** `"KEY=value"`. */
export function parsePair(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be KEY=VALUE.");
  return [text.slice(0, at), text.slice(at + 1)];
}

/** `"nofile=1024"`, `"nofile=1024:4096"`. */
export function parseRlimit(text: string): readonly [string, RlimitOptions] {
  const { name, soft, hard } = RLIMIT.exec(text)?.groups ?? {};
  if (name === undefined || soft === undefined)
    throw new InvalidArgumentError("It must be NAME=SOFT or NAME=SOFT:HARD.");
  const limit = (value: string) => (value === "unlimited" ? value : Number(value));
  return [name, { soft: limit(soft), ...(hard === undefined ? {} : { hard: limit(hard) }) }];
}

/** An RFC 3339 time, or how long ago: `"5m"`. */
export function parseTime(text: string, now: number = Date.now()): Date {
  if (DURATION.test(text)) return new Date(now - parseDurationMs(text));
  const time = new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError("It must be a time such as 2026-01-31T12:00:00Z, or how long ago: 5m.");
}

/** For a flag that may be given several times. */
export function collect<T>(parse: (text: string) => T): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => [...previous, parse(text)];
}

/** For a flag whose values may be separated by commas, too. */
export function collectList<T extends string>(
  choices: readonly T[],
): (text: string, previous: T[] | undefined) => T[] {
  return (text, previous = []) => {
    const words = text.split(",").map((word) => choices.find((choice) => choice === word));
    const known = words.filter((word) => word !== undefined);
    if (known.length < words.length) {
      throw new InvalidArgumentError(`It must be of ${choices.join(", ")}.`);
    }
    return [...previous, ...known];
  };
}
