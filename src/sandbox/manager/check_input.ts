/** What callers of `SandboxManager` give, checked at its edge. @module */
import { z } from "zod";
import { parseConfig } from "../../base/parse_config.ts";
import { wantedLabelsSchema } from "../../options/labels.ts";
import type { ManagedRunOptions, ManagedState } from "./types.ts";

const idSchema = z.string().min(1);
const listSchema = z.object({
  state: z
    .enum([
      "starting",
      "ready",
      "running",
      "paused",
      "stopping",
      "stopped",
      "crashed",
      "failed",
    ] satisfies ManagedState[])
    .optional(),
  labels: wantedLabelsSchema,
});
/** All else is `ExecOptions`, which are checked where those are. */
const runSchema = z.looseObject({ cmd: z.array(z.string()).min(1) });

/** @throws {InvalidConfigError} if `id` can be no sandbox's. */
export function checkId(id: string): void {
  parseConfig(idSchema, id, "id");
}

/** @throws {InvalidConfigError} if no list can be asked for like that. */
export function checkListing(
  state: ManagedState | undefined,
  labels: Readonly<Record<string, string>>,
): void {
  parseConfig(listSchema, { state, labels }, "options");
}

/** @throws {InvalidConfigError} if there is no program to run. */
export function checkRun(options: ManagedRunOptions): void {
  parseConfig(runSchema, options, "options");
}
