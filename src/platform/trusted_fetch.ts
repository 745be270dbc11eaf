/**
 * `fetch` that trusts further certificate authorities: the one request option that Bun and Deno name differently.
 *
 * @module
 */
import { rootCertificates } from "node:tls";
import { runtimeName } from "./runtime.ts";

/** `fetch`, and what to call when it is no longer needed. */
export interface TrustedFetch {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  close(): void;
}

/** @param caCerts PEM texts that are trusted beside the system's own authorities. None: plain `fetch`. */
export function trustedFetch(caCerts: readonly string[]): TrustedFetch {
  if (caCerts.length === 0) return { fetch: (url, init) => fetch(url, init), close: () => {} };
  if (runtimeName() === "bun") {
    // Bun's `ca` takes the place of the usual authorities, hence both.
    const tls = { ca: [...rootCertificates, ...caCerts] };
    return { fetch: (url, init) => fetch(url, { ...init, tls } as RequestInit), close: () => {} };
  }
  const client = denoHttpClient([...caCerts]);
  return {
    fetch: (url, init) => fetch(url, { ...init, client } as RequestInit),
    close: () => client.close(),
  };
}

interface DenoHttpClient {
  close(): void;
}

function denoHttpClient(caCerts: string[]): DenoHttpClient {
  const { Deno } = globalThis as unknown as {
    Deno: { createHttpClient(options: { caCerts: string[] }): DenoHttpClient };
  };
  return Deno.createHttpClient({ caCerts });
}
