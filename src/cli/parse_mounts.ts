/**
 * Flags that mount something.
 *
 * @module
 */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { MountOptions } from "../../mod.ts";
import { parseSizeMiB } from "./parse.ts";

type TargetAndMount = readonly [target: string, mount: MountOptions];

/** `./project:/app`, `./docs:/docs:ro`. */
export function parseVolume(text: string): TargetAndMount {
  const [source = "", target = "", mode = "rw", ...rest] = text.split(":");
  if (source === "" || !target.startsWith("/") || rest.length > 0)
    throw new InvalidArgumentError("It must be PATH:TARGET or PATH:TARGET:ro, with an absolute TARGET.");
  if (mode !== "rw" && mode !== "ro") throw new InvalidArgumentError("Behind TARGET it takes ro or rw.");
  if (!source.includes("/") && source !== "." && source !== "..")
    throw new InvalidArgumentError(`Begin a path with ./ or /: ./${source} (there are no named volumes).`);
  return [target, { bind: source, readonly: mode === "ro" }];
}

/** `/scratch`, `/scratch:64M`. */
export function parseTmpfs(text: string): TargetAndMount {
  const [target = "", size, ...rest] = text.split(":");
  if (!target.startsWith("/") || rest.length > 0)
    throw new InvalidArgumentError("It must be TARGET or TARGET:SIZE, with an absolute TARGET.");
  return [target, { tmpfs: true, sizeMiB: size === undefined ? undefined : parseSizeMiB(size) }];
}
