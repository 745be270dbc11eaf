/**
 * What this process does in a guest before any other can reach it: it applies patches, and takes over the connections of a guest whose
 * requests its hooks see.
 *
 * @module
 */
import { AgentClient } from "../../agent/client.ts";
import { InternalError } from "../../base/errors.ts";
import type { ClientEgress } from "../../egress/client_egress.ts";
import type { EgressConfig } from "../../egress/config.ts";
import type { HttpHooks } from "../../egress/http/hooks.ts";
import type { Patch } from "../../options/patch_options.ts";
import type { CreationKey } from "../backend.ts";

/** What there is to do. */
export interface GuestPreparation {
  /** Of a creation. */
  readonly patches?: readonly Patch[] | undefined;
  readonly applyPatches?: CreationKey["applyPatches"];
  readonly egress: EgressConfig | undefined;
  readonly hooks: HttpHooks | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Networks that this process carries, by sandbox. */
const carried = new Map<string, ClientEgress>();

/** The network of a sandbox that this process carries. */
export function carriedNetwork(sandboxId: string): ClientEgress | undefined {
  return carried.get(sandboxId);
}

/** The function that prepares the guest behind a socket; `undefined` where there is nothing to do. */
export function guestPreparation(work: GuestPreparation): ((path: string) => Promise<void>) | undefined {
  const { patches = [], applyPatches, egress, hooks, signal } = work;
  if (patches.length > 0 && applyPatches === undefined) throw new InternalError("no way to apply patches");
  if (patches.length === 0 && hooks === undefined) return undefined;
  return async (path) => {
    const client = await AgentClient.connect(path, { signal });
    try {
      if (patches.length > 0) await applyPatches?.(client, patches, signal);
      if (hooks === undefined || egress === undefined) return client.close();
      await carry(client, egress, hooks); // last: its authority goes into what patches have left
    } catch (error) {
      client.close();
      throw error;
    }
  };
}

/** Loads its modules only where they are needed. The connection ends with the VM host process. */
async function carry(client: AgentClient, config: EgressConfig, hooks: HttpHooks): Promise<void> {
  const { ClientEgress } = await import("../../egress/client_egress.ts");
  const network = await ClientEgress.open({ client, config, hooks });
  const { sandboxId } = client;
  carried.set(sandboxId, network);
  void client.closed.then(() => {
    if (carried.get(sandboxId) === network) carried.delete(sandboxId);
  });
}
