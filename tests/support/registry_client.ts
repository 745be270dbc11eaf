/** A client of the test registry that does not wait long. @module */
import { RegistryClient, type RegistryClientOptions } from "../../src/image/oci/registry_client.ts";
import type { TestRegistry } from "./registry_server.ts";

/** Makes one, without credentials unless `options` have some. */
export function clientOf(
  registry: TestRegistry,
  options: Partial<RegistryClientOptions> = {},
): RegistryClient {
  return new RegistryClient({
    registry: registry.host,
    insecure: true,
    auth: { kind: "anonymous" },
    http: { backoffFirstMs: 1, stallTimeoutMs: 200, headTimeoutMs: 5000 },
    ...options,
  });
}
