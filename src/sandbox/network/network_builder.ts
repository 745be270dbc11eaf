/**
 * Builds a network's options step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError, messageOf, UnsupportedError } from "../../base/errors.ts";
import type { NetworkPolicy } from "../../egress/config.ts";
import type { NoNetworkOptions, PortOptions, UserNetworkOptions } from "../../options/network_options.ts";
import type { SecretOptions } from "../../options/secret_options.ts";
import { configured } from "../configured.ts";
import {
  DnsBuilder,
  type InterfaceOverridesBuilder,
  interfaceIsFixed,
  NetworkRateLimiterBuilder,
  TlsBuilder,
  ViolationActionBuilder,
} from "./part_builders.ts";
import { NetworkPolicyBuilder } from "./policy_builder.ts";
import { SecretBuilder } from "./secret_builder.ts";

/**
 * What `SandboxBuilder.network()` hands out: a network of mode `user`, where what is public is allowed unless a policy or a list
 * says otherwise.
 *
 * @example
 * ```ts no-vm
 * import { NetworkBuilder } from "microsandbox";
 *
 * const network = new NetworkBuilder()
 *   .policy((policy) => policy.defaultDeny().egress((rule) => rule.tcp().port(443).allowDomain("api.example")))
 *   .maxConnections(64)
 *   .build();
 * console.log(network.mode); // user
 * ```
 */
export class NetworkBuilder {
  #isEnabled = true;
  #options: Omit<UserNetworkOptions, "mode" | "secrets" | "ports"> = {};
  readonly #secrets = new Map<string, SecretOptions>();
  readonly #ports: PortOptions[] = [];

  /** Sets whether there is a network at all; ports are published in any case. @default {true} */
  enabled(enabled: boolean): this {
    this.#isEnabled = enabled;
    return this;
  }

  /** Publishes a TCP port of the sandbox at the host's loopback interface. */
  port(hostPort: number, guestPort: number): this {
    return this.#addPort({ hostPort, guestPort });
  }

  /** {@linkcode port} at another address of the host. */
  portBind(bind: string, hostPort: number, guestPort: number): this {
    return this.#addPort({ bind, hostPort, guestPort });
  }

  /** {@linkcode port} for UDP. */
  portUdp(hostPort: number, guestPort: number): this {
    return this.#addPort({ hostPort, guestPort, protocol: "udp" });
  }

  /** {@linkcode portBind} for UDP. */
  portUdpBind(bind: string, hostPort: number, guestPort: number): this {
    return this.#addPort({ bind, hostPort, guestPort, protocol: "udp" });
  }

  /**
   * Sets the policy: a plain object, a builder, or a function that is handed one.
   *
   * @throws {InvalidConfigError} `invalidConfig`, for another value, or if the function does not return the builder.
   */
  policy(
    policy: NetworkPolicy | NetworkPolicyBuilder | ((policy: NetworkPolicyBuilder) => NetworkPolicyBuilder),
  ): this {
    if (typeof policy === "function")
      return this.policy(configured("policy", new NetworkPolicyBuilder(), policy));
    // Without a policy, what is public is allowed, which a caller of this does not want.
    if (typeof policy !== "object" || policy === null)
      throw new InvalidConfigError([{ field: "network.policy", problem: "must be given" }]);
    return this.#set({ policy: policy instanceof NetworkPolicyBuilder ? policy.build() : policy });
  }

  /** {@linkcode policy} as JSON. @throws {InvalidConfigError} if it is not JSON. */
  policyJson(json: string): this {
    try {
      return this.policy(JSON.parse(json) as NetworkPolicy); // checked with the other options
    } catch (error) {
      throw new InvalidConfigError([
        { field: "network.policy", problem: `must be JSON: ${messageOf(error)}` },
      ]);
    }
  }

  /** {@linkcode policy} of a builder. */
  policyFromBuilder(builder: NetworkPolicyBuilder): this {
    return this.policy(builder);
  }

  /** Adds to the list of those that the guest may reach: see {@linkcode PolicyOptions.allow}. */
  allow(...entries: readonly string[]): this {
    return this.#set({ allow: [...(this.#options.allow ?? []), ...entries] });
  }

  /** Adds to the list of those that the guest may not reach: see {@linkcode PolicyOptions.deny}. */
  deny(...entries: readonly string[]): this {
    return this.#set({ deny: [...(this.#options.deny ?? []), ...entries] });
  }

  /** Sets how names are resolved. */
  dns(configure: (dns: DnsBuilder) => DnsBuilder): this {
    return this.#set({ dns: configured("dns", new DnsBuilder(), configure).build() });
  }

  /** Reads TLS on the way. */
  tls(configure: (tls: TlsBuilder) => TlsBuilder = (tls) => tls): this {
    return this.#set({ tls: configured("tls", new TlsBuilder(), configure).build() });
  }

  /** Adds a secret, which the guest knows by a placeholder only. */
  secret(configure: (secret: SecretBuilder) => SecretBuilder): this {
    return this.#addSecret(configured("secret", new SecretBuilder(), configure));
  }

  /** Adds a secret: a value, with its placeholder and the host that may get it. */
  secretEnv(name: string, value: string, placeholder: string, allowedHost: string): this;
  /** {@linkcode secret} of that name. */
  secretEnv(name: string, configure: (secret: SecretBuilder) => SecretBuilder): this;
  /** Both of these. */
  secretEnv(
    name: string,
    value: string | ((secret: SecretBuilder) => SecretBuilder),
    placeholder = "",
    allowedHost = "",
  ): this {
    const builder = new SecretBuilder().env(name);
    if (typeof value === "function") return this.#addSecret(configured("secretEnv", builder, value));
    return this.#addSecret(builder.value(value).placeholder(placeholder).allowHost(allowedHost));
  }

  /** Adds a secret by value, with the placeholder `$MSB_` and its name. */
  secretEnvSimple(name: string, value: string, allowedHost: string): this {
    return this.secretEnv(name, (secret) => secret.value(value).allowHost(allowedHost));
  }

  /** Not supported. @throws {UnsupportedError} as soon as something is chosen */
  interface(_configure: (overrides: InterfaceOverridesBuilder) => InterfaceOverridesBuilder): this {
    throw interfaceIsFixed("an interface of its own");
  }

  /** Sets what happens to a secret that the guest sends to a host that may not get it. @default {"block-and-log"} */
  onSecretViolation(configure: (action: ViolationActionBuilder) => ViolationActionBuilder): this {
    return this.#set({
      secretViolation: configured("onSecretViolation", new ViolationActionBuilder(), configure).build(),
    });
  }

  /** Sees each request that is read on the way: see {@linkcode UserNetworkOptions.onRequest}. */
  onRequest(hook: NonNullable<UserNetworkOptions["onRequest"]>): this {
    return this.#set({ onRequest: hook });
  }

  /** Sees each response: see {@linkcode UserNetworkOptions.onResponse}. */
  onResponse(hook: NonNullable<UserNetworkOptions["onResponse"]>): this {
    return this.#set({ onResponse: hook });
  }

  /** Sets how many TCP connections there may be at once, 1 to 4096. @default {256} */
  maxConnections(count: number): this {
    return this.#set({ maxConnections: count });
  }

  /** Always on where a name can be seen; elsewhere the address decides. @throws {UnsupportedError} for `true` */
  strict(enabled: boolean): this {
    if (!enabled) return this;
    throw new UnsupportedError(
      "Cannot refuse protocols that show no name where a rule allows the name's address",
      {
        hint: 'give rules about names their ports: allow: ["api.example:443"]',
      },
    );
  }

  /** Not supported. @throws {UnsupportedError} always */
  ipv4Pool(_pool: string): this {
    throw interfaceIsFixed("an address of a pool");
  }

  /** Not supported. @throws {UnsupportedError} always */
  ipv6Pool(_pool: string): this {
    throw interfaceIsFixed("an address of a pool");
  }

  /** Not supported. @throws {UnsupportedError} for `true` */
  trustHostCAs(enabled: boolean): this {
    if (!enabled) return this;
    throw new UnsupportedError("Cannot give the guest all authorities that this machine trusts", {
      hint: "copy one by a patch, or read TLS on the way: servers are then verified by this machine",
    });
  }

  /** Limits bytes and operations of each direction. */
  rateLimiter(configure: (limiter: NetworkRateLimiterBuilder) => NetworkRateLimiterBuilder): this {
    return this.#set({
      rateLimiter: configured("rateLimiter", new NetworkRateLimiterBuilder(), configure).build(),
    });
  }

  /** The options, for `Sandbox.create({ network })`. */
  build(): UserNetworkOptions | NoNetworkOptions {
    const ports = this.#ports.length === 0 ? {} : { ports: [...this.#ports] };
    if (!this.#isEnabled) return { mode: "none", ...ports };
    const secrets = this.#secrets.size === 0 ? {} : { secrets: Object.fromEntries(this.#secrets) };
    return { mode: "user", ...this.#options, ...secrets, ...ports };
  }

  #addSecret(builder: SecretBuilder): this {
    const { name, secret } = builder.build();
    if (this.#secrets.has(name))
      throw new InvalidConfigError([
        { field: `network.secrets.${name}`, problem: "must not be there twice" },
      ]);
    this.#secrets.set(name, secret);
    return this;
  }

  #addPort(port: PortOptions): this {
    this.#ports.push(port);
    return this;
  }

  #set(options: Partial<UserNetworkOptions>): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
