/** A client of the test registry that does not wait long between attempts. @module */
import { RegistryClient, type RegistryClientOptions } from "../../../src/image/oci/registry_client.ts";
import type { TestRegistry } from "./server.ts";

/** For a registry that hangs. With another, a busy machine may keep a client waiting as long, too. */
export const HASTY = { backoffFirstMs: 1, stallTimeoutMs: 200 };

/** Makes one, without credentials unless `options` have some. */
export function clientOf(
  registry: TestRegistry,
  options: Partial<RegistryClientOptions> = {},
): RegistryClient {
  return new RegistryClient({
    registry: registry.host,
    insecure: true,
    auth: { kind: "anonymous" },
    http: { backoffFirstMs: 1 },
    ...options,
  });
}
