/**
 * What reads a guest's TCP connections on the way: TLS interception, the HTTP proxy, secrets. The core accepts a connection,
 * decides about its address and opens the way to the other end; an interceptor moves the bytes.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { EgressConfig } from "./config.ts";
import type { FlowEnd, FlowRequest, GuestConnection } from "./flow.ts";

/** Whether a name may be reached on a flow, and why not. */
export type NameVerdict =
  | { readonly allowed: true }
  | {
      readonly allowed: false;
      /** For the flow log. */
      readonly reason: string;
      /** Index of the rule that denied; none for the default. */
      readonly rule?: number | undefined;
    };

/** What an interceptor tells of a flow, for the flow log. A text of the guest's must be cut before it is put in here. */
export type InterceptEvent =
  /** The name that the guest asked for, by SNI or by HTTP Host. */
  | { readonly kind: "name"; readonly name: string }
  /** A request or the whole connection was refused. */
  | { readonly kind: "blocked"; readonly reason: string; readonly name?: string | undefined }
  /** A placeholder or a value was on its way to a host that may not get it. `secret` is the name of its variable. */
  | {
      readonly kind: "violation";
      readonly reason: string;
      readonly secret: string;
      readonly name?: string | undefined;
    }
  /** The other end could not be reached or verified. */
  | { readonly kind: "upstreamError"; readonly reason: string; readonly name?: string | undefined };

/** Sees what the guest sends before it is sent on. Both throw an error with the reason if the flow must end. */
export interface NameFiltering {
  /** Bytes that may be sent on now; empty until that is known. */
  take(chunk: Uint8Array): Uint8Array | undefined;
  /** What is still held when the guest ends. */
  end(): Uint8Array | undefined;
}

/** A TCP connection that was let in by its address, and is read from here on. */
export interface InterceptedFlow {
  readonly request: FlowRequest;
  /** What it sends and receives is counted and limited already. */
  readonly guest: GuestConnection;
  /** Names that this sandbox resolved to the destination's address: lower case, without a final dot. */
  readonly names: readonly string[];
  /** Fires when the flow must end: a rule was changed, or the sandbox stops. The guest's side is reset already. */
  readonly signal: AbortSignal;
  /**
   * Decides about a name that the guest shows on this flow, by SNI or HTTP Host. To be asked before a byte of a request is
   * sent on.
   */
  checkName(name: string): NameVerdict;
  /** Like {@linkcode checkName}, for TLS or HTTP that shows no name. */
  checkNameless(): NameVerdict;
  /**
   * For a protocol that is taken for neither, as when the server speaks first: sees all that the guest sends, and judges TLS and
   * HTTP that come after all.
   */
  nameFilter(): NameFiltering;
  /**
   * A connection to the very address that the guest asked for, never resolved again. The first call hands out the one
   * that was opened before the guest was let in. Half-open is allowed on it.
   *
   * @throws the system's error, with its `code`.
   */
  connect(): Promise<Socket>;
  /** Adds to the flow log. Never throws. */
  report(event: InterceptEvent): void;
  /** Ends the sandbox: `block-and-terminate`. */
  terminate(reason: string): void;
}

/** Reads the TCP connections that it wants. */
export interface Interceptor {
  /**
   * Whether it wants connections to `destination`.
   *
   * @param nameMatters Whether a rule is about names there: then the name of each request must be checked. A connection that is
   * not handed over is checked by its first bytes only.
   */
  wants(destination: FlowEnd, nameMatters: boolean): boolean;
  /** Resolves when the connection is over. An error of the guest or of the other end is reported, not thrown. */
  handle(flow: InterceptedFlow): Promise<void>;
  /** Takes another configuration for connections from now on. */
  update(config: EgressConfig): void;
}

/** Whether something must be read: TLS, secrets on their way, or the names of requests. */
export function needsInterceptor({ tls, secrets, policy }: EgressConfig): boolean {
  const namesHosts = policy.rules.some(
    ({ destination: { kind } }) => kind === "domain" || kind === "domainSuffix",
  );
  return tls !== undefined || secrets.length > 0 || namesHosts;
}
