/**
 * Reads those connections of a guest that must be read: TLS is ended here and begun again towards the server, HTTP goes
 * through the proxy, and other protocols pass as they are.
 *
 * @module
 */
import type { EgressConfig } from "../config.ts";
import type { FlowEnd } from "../flow.ts";
import type { HttpHooks } from "../http/hooks.ts";
import type { InterceptedFlow, Interceptor } from "../interceptor.ts";
import { SecretSet } from "../secrets/secret_gate.ts";
import { Authority } from "./authority.ts";
import { ClientSide } from "./client_side.ts";
import { FlowReading, type ReadingTools } from "./flow_reading.ts";

/** Where HTTP without TLS is read, beside the ports whose TLS is. */
const PLAIN_HTTP_PORT = 80;

/** What an interceptor is made with. */
export interface HttpInterceptorOptions {
  readonly config: EgressConfig;
  /** Functions that see each request and response. If there are any, no other protocol passes on the ports that are read. */
  readonly hooks?: HttpHooks | undefined;
}

/**
 * The interceptor for TLS, HTTP and secrets. Reads the ports of {@linkcode TlsConfig.interceptedPorts}, and port 80 where
 * there are rules about names, secrets or hooks.
 */
export class HttpInterceptor implements Interceptor {
  readonly #hooks: HttpHooks | undefined;
  readonly #clientSide = new ClientSide();
  #tools: ReadingTools;

  constructor({ config, hooks }: HttpInterceptorOptions) {
    this.#hooks = hooks;
    this.#tools = this.#toolsFor(config, undefined);
  }

  wants({ port }: FlowEnd, nameMatters: boolean): boolean {
    const { tls, hasSecrets } = this.#tools;
    const isRead = tls?.interceptedPorts.includes(port) === true;
    // HTTP is read so that each request on a connection is checked, not only the first.
    const isWorthwhile = nameMatters || hasSecrets || this.#hooks !== undefined;
    return isRead || (port === PLAIN_HTTP_PORT && isWorthwhile);
  }

  async handle(flow: InterceptedFlow): Promise<void> {
    await new FlowReading(flow, () => this.#tools).run();
  }

  /** Secrets apply from the next request on, also on open connections; everything else from the next connection on. */
  update(config: EgressConfig): void {
    this.#tools = this.#toolsFor(config, this.#tools);
  }

  #toolsFor(config: EgressConfig, before: ReadingTools | undefined): ReadingTools {
    const { tls, secrets, secretViolation } = config;
    const isSameAuthority =
      before !== undefined && before.tls?.caCert === tls?.caCert && before.tls?.caKey === tls?.caKey;
    const made =
      tls === undefined ? undefined : () => new Authority({ certificate: tls.caCert, key: tls.caKey });
    return {
      tls,
      authority: isSameAuthority ? before.authority : made?.(),
      secrets: new SecretSet(secrets, secretViolation === "passthrough"),
      hasSecrets: secrets.length > 0,
      violation: secretViolation,
      hooks: this.#hooks,
      clientSide: this.#clientSide,
    };
  }
}
