/**
 * Builds parts of a network's options step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError, UnsupportedError } from "../../base/errors.ts";
import type { ViolationAction } from "../../egress/config.ts";
import type {
  DnsOptions,
  NetworkRateLimiterOptions,
  RateLimiterOptions,
  TlsOptions,
  TokenBucketOptions,
} from "../../options/egress_options.ts";
import { configured } from "../configured.ts";

/** What `NetworkBuilder.dns()` hands out. */
export class DnsBuilder {
  #options: DnsOptions = {};

  /** Sets whether to refuse a private address as the answer for a public name. @default {true} */
  rebindProtection(enabled: boolean): this {
    this.#options = { ...this.#options, rebindProtection: enabled };
    return this;
  }

  /** Sets who is asked, in order: `address` or `address:port`. @default those of this machine */
  nameservers(servers: Iterable<string>): this {
    this.#options = { ...this.#options, nameservers: [...servers] };
    return this;
  }

  /** Sets the time limit of a name server, in milliseconds. @default {5_000} */
  queryTimeoutMs(timeoutMs: number): this {
    this.#options = { ...this.#options, queryTimeoutMs: timeoutMs };
    return this;
  }

  /** The options. */
  build(): DnsOptions {
    return this.#options;
  }
}

/** What `NetworkBuilder.tls()` hands out. */
export class TlsBuilder {
  #options: TlsOptions = {};

  /** Lets TLS of a name pass unread; `*.` and a name stands for all below it. */
  bypass(pattern: string): this {
    return this.#set({ bypass: [...(this.#options.bypass ?? []), pattern] });
  }

  /** Sets whether servers have to prove their names. @default {true} */
  verifyUpstream(verify: boolean): this {
    return this.#set({ verifyUpstream: verify });
  }

  /** {@linkcode verifyUpstream} for some names only; the last that matches holds. */
  verifyUpstreamFor(pattern: string, verify: boolean): this {
    return this.#set({
      scopedVerifyUpstream: [...(this.#options.scopedVerifyUpstream ?? []), { pattern, verify }],
    });
  }

  /** Sets the ports whose TLS is read. @default {[443]} */
  interceptedPorts(ports: Iterable<number>): this {
    return this.#set({ interceptedPorts: [...ports] });
  }

  /** Sets whether QUIC is refused on these ports. @default {true} */
  blockQuic(block: boolean): this {
    return this.#set({ blockQuic: block });
  }

  /** Trusts the authorities of a PEM file, beside those of this machine. */
  upstreamCaCert(path: string): this {
    return this.#set({ upstreamCaCertPaths: [...(this.#options.upstreamCaCertPaths ?? []), path] });
  }

  /** {@linkcode upstreamCaCert} for some names only. */
  upstreamCaCertFor(pattern: string, path: string): this {
    return this.#set({
      scopedUpstreamCaCerts: [...(this.#options.scopedUpstreamCaCerts ?? []), { pattern, path }],
    });
  }

  /** Sets the authority that signs for the guest: a PEM file. @default one of the home */
  interceptCaCert(path: string): this {
    return this.#set({ interceptCaCertPath: path });
  }

  /** Sets its key: a PEM file. */
  interceptCaKey(path: string): this {
    return this.#set({ interceptCaKeyPath: path });
  }

  /** The options. */
  build(): TlsOptions {
    return this.#options;
  }

  #set(options: TlsOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}

/** What `NetworkRateLimiterBuilder` hands out for a direction. */
export class RateLimiterBuilder {
  #options: RateLimiterOptions = {};
  #bandwidthBurst: number | undefined;
  #opsBurst: number | undefined;

  /** Limits bytes: `sizeBytes` at once, and as many again every `refillTimeMs`. */
  bandwidth(sizeBytes: number, refillTimeMs: number): this {
    this.#options = { ...this.#options, bandwidth: { size: sizeBytes, refillTimeMs } };
    return this;
  }

  /** Adds bytes to `bandwidth()` that are there once. */
  bandwidthBurst(sizeBytes: number): this {
    this.#bandwidthBurst = sizeBytes;
    return this;
  }

  /** Limits operations: `count` at once, and as many again every `refillTimeMs`. */
  ops(count: number, refillTimeMs: number): this {
    this.#options = { ...this.#options, ops: { size: count, refillTimeMs } };
    return this;
  }

  /** Adds operations to `ops()` that are there once. */
  opsBurst(count: number): this {
    this.#opsBurst = count;
    return this;
  }

  /** The options. @throws {InvalidConfigError} for a burst without its limit. */
  build(): RateLimiterOptions {
    const bandwidth = withBurst(this.#options.bandwidth, this.#bandwidthBurst, "bandwidth");
    const ops = withBurst(this.#options.ops, this.#opsBurst, "ops");
    return { ...(bandwidth === undefined ? {} : { bandwidth }), ...(ops === undefined ? {} : { ops }) };
  }
}

function withBurst(
  bucket: TokenBucketOptions | undefined,
  burst: number | undefined,
  name: string,
): TokenBucketOptions | undefined {
  if (burst === undefined) return bucket;
  if (bucket !== undefined) return { ...bucket, oneTimeBurst: burst };
  throw new InvalidConfigError([
    { field: `network.rateLimiter.${name}`, problem: `must be given: ${name}Burst() adds to it` },
  ]);
}

/** What `NetworkBuilder.rateLimiter()` hands out. */
export class NetworkRateLimiterBuilder {
  #options: NetworkRateLimiterOptions = {};

  /** Limits what the guest sends. */
  egress(configure: (limiter: RateLimiterBuilder) => RateLimiterBuilder): this {
    this.#options = {
      ...this.#options,
      egress: configured("rateLimiter.egress", new RateLimiterBuilder(), configure).build(),
    };
    return this;
  }

  /** Limits what the guest receives. */
  ingress(configure: (limiter: RateLimiterBuilder) => RateLimiterBuilder): this {
    this.#options = {
      ...this.#options,
      ingress: configured("rateLimiter.ingress", new RateLimiterBuilder(), configure).build(),
    };
    return this;
  }

  /** The options. */
  build(): NetworkRateLimiterOptions {
    return this.#options;
  }
}

/** What `NetworkBuilder.onSecretViolation()` hands out; the last call holds. */
export class ViolationActionBuilder {
  #action: ViolationAction | undefined;

  /** Blocks it. */
  block(): this {
    return this.#set("block");
  }

  /** Blocks it, and says so in the sandbox's `network` log. */
  blockAndLog(): this {
    return this.#set("block-and-log");
  }

  /** Blocks it, and ends the sandbox. */
  blockAndTerminate(): this {
    return this.#set("block-and-terminate");
  }

  /** Not supported. @throws {UnsupportedError} always */
  passthroughHost(_host: string): this {
    throw new UnsupportedError(
      "Placeholders pass to all hosts or to none: there is no list of hosts for that",
      {
        hint: "passthroughAllHosts(true), or let TLS of that host pass unread: tls((t) => t.bypass(host))",
      },
    );
  }

  /** Not supported. @throws {UnsupportedError} always */
  passthroughHostPattern(pattern: string): this {
    return this.passthroughHost(pattern);
  }

  /** Sends placeholders as they are, to any host. Values are never sent to a host that may not get them. */
  passthroughAllHosts(iUnderstand: boolean): this {
    return iUnderstand ? this.#set("passthrough") : this;
  }

  /** The action; `undefined` if none was chosen. */
  build(): ViolationAction | undefined {
    return this.#action;
  }

  #set(action: ViolationAction): this {
    this.#action = action;
    return this;
  }
}

/** Not supported: connections are made by this machine's own sockets. */
export class OutboundProxyBuilder {
  /** Not supported. @throws {UnsupportedError} always */
  socks4(_address: string): never {
    throw outboundProxyIsUnsupported();
  }

  /** Not supported. @throws {UnsupportedError} always */
  socks5(_address: string): never {
    throw outboundProxyIsUnsupported();
  }
}

/** Why there is no proxy. */
export function outboundProxyIsUnsupported(): UnsupportedError {
  return new UnsupportedError(
    "Connections go out by this machine's own sockets: an outbound proxy is not built",
    {
      hint: "allow the proxy, and set HTTPS_PROXY or ALL_PROXY in the guest",
    },
  );
}

/** Not supported: the guest's interface has the same addresses in every sandbox, which no other machine sees. */
export class InterfaceOverridesBuilder {
  /** Not supported. @throws {UnsupportedError} always */
  mac(_mac: string): this {
    throw interfaceIsFixed("a MAC address");
  }

  /** Not supported. @throws {UnsupportedError} always */
  mtu(_mtu: number): this {
    throw interfaceIsFixed("an MTU");
  }

  /** Not supported. @throws {UnsupportedError} always */
  ipv4(_address: string): this {
    throw interfaceIsFixed("an address");
  }

  /** Not supported. @throws {UnsupportedError} always */
  ipv6(_address: string): this {
    throw interfaceIsFixed("an address");
  }
}

/** Why nothing of the guest's interface can be chosen. */
export function interfaceIsFixed(what: string): UnsupportedError {
  return new UnsupportedError(
    `Cannot give the guest ${what}: its interface has no link, and is the same in each sandbox`,
    {
      hint: 'leave it out; or use network mode "tap", whose addresses are chosen by cidr',
    },
  );
}
