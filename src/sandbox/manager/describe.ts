/** What a manager tells of sandboxes that exist. @module */
import type { Backend, SandboxRecord } from "../../backend/backend.ts";
import type { NetworkConfig } from "../../network/network_plan.ts";
import { parseStoredConfig } from "../../options/sandbox_options.ts";
import { configIfReadable } from "../../options/stored_config.ts";
import { type ManagedNetwork, type SandboxInfo, type SandboxSummary, STATES } from "./types.ts";

/** See `SandboxManager.inspectSandbox()`. */
export async function infoOf(backend: Backend, record: SandboxRecord): Promise<SandboxInfo> {
  const { image, cpus, memoryMiB, network } = parseStoredConfig(record.configJson);
  return {
    ...(await summaryOf(backend, record)),
    image,
    cpus,
    memoryMiB,
    network: await networkOf(backend, network, record.id),
    readyAt: record.readyAt,
    lastExitedAt: record.idleAt,
    lastExitCode: record.idleExitCode,
    error: record.status === "crashed" ? record.statusReason : undefined,
  };
}

/** What a list says of a sandbox. A damaged config hides its address only. */
export async function summaryOf(backend: Backend, record: SandboxRecord): Promise<SandboxSummary> {
  const { id, name, status, isBusy, labels, createdAt, configJson } = record;
  const state = status === "running" && isBusy ? "running" : STATES[status];
  const config = configIfReadable(configJson);
  const network = config === undefined ? undefined : await networkOf(backend, config.network, id);
  return { id, name, state, labels, ipAddress: network?.ipAddress ?? "", createdAt };
}

/** The network device that a sandbox has now; `undefined` without one. */
export async function networkOf(
  backend: Backend,
  network: NetworkConfig,
  id: string,
): Promise<ManagedNetwork | undefined> {
  const plan = await backend.networkPlan(network, id);
  if (plan === undefined) return undefined;
  const { mode, address: ipAddress, gateway, mac } = plan;
  return { mode, ipAddress, gateway, mac, tapName: plan.mode === "tap" ? plan.tapName : undefined };
}
