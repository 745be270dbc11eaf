/**
 * Functions that see a guest's requests: each start of a sandbox that was created with some needs them again.
 *
 * @module
 */
import { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import type { HttpHooks } from "../egress/http/hooks.ts";
import type { StoredNetwork } from "./network_options.ts";

const hook = z.custom((value) => typeof value === "function", "must be a function").optional();
const schema = z.strictObject({ hooks: z.strictObject({ onRequest: hook, onResponse: hook }).optional() });

/**
 * Checks that a sandbox gets hooks if it was created with some, and none otherwise.
 *
 * @returns `undefined` for a sandbox without.
 * @throws {InvalidConfigError} naming the field.
 */
export function checkHooks(network: StoredNetwork, hooks: HttpHooks | undefined): HttpHooks | undefined {
  parseConfig(schema, { hooks }, "call");
  const isGiven = hooks?.onRequest !== undefined || hooks?.onResponse !== undefined;
  const isNeeded = network.mode === "user" && network.hasHooks === true;
  if (isNeeded === isGiven) return isGiven ? hooks : undefined;
  if (isNeeded)
    throw new InvalidConfigError(
      [{ field: "hooks", problem: "are missing: the sandbox was created with some, which are not stored" }],
      { hint: "give them to the start: { hooks: { onRequest, onResponse } }" },
    );
  throw new InvalidConfigError(
    [{ field: "hooks", problem: "must not be there: the sandbox was created without" }],
    { hint: "create it with network: { onRequest, onResponse }" },
  );
}
