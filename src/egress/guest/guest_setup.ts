/**
 * What a guest needs beside its interface, and what reads its requests. Loaded only if something must be read.
 *
 * @module
 */
import type { AgentClient } from "../../agent/client.ts";
import type { EgressConfig } from "../config.ts";
import type { HttpHooks } from "../http/hooks.ts";
import { type Interceptor, needsInterceptor } from "../interceptor.ts";

/** The interceptor of TLS and HTTP; `undefined` if nothing has to be read. */
export async function loadInterceptor(
  config: EgressConfig,
  hooks?: HttpHooks,
): Promise<Interceptor | undefined> {
  if (hooks === undefined && !needsInterceptor(config)) return undefined;
  const { HttpInterceptor } = await import("../tls/interceptor.ts");
  return new HttpInterceptor({ config, hooks });
}

/**
 * Has programs of the guest trust the authority that signs for what is read on the way. Returns the variables that tell them.
 */
export async function installTrust(
  client: AgentClient,
  { tls }: EgressConfig,
): Promise<Readonly<Record<string, string>>> {
  if (tls === undefined) return {};
  const [{ installGuestTrust }, { SessionFiles }] = await Promise.all([
    import("../tls/guest_trust.ts"),
    import("./session_files.ts"),
  ]);
  using files = await SessionFiles.open(client);
  return await installGuestTrust(tls.caCert, files);
}
