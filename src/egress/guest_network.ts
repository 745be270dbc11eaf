/**
 * The addresses of a guest's own network, the same in every sandbox: no packet with them leaves the guest.
 *
 * @module
 */

/**
 * IPv4 is from TEST-NET-3 (RFC 5737) and IPv6 has a random prefix of RFC 4193, so that no network that a guest wants to reach
 * lies behind them.
 */
export const GUEST_NETWORK = {
  ipv4: { address: "203.0.113.2", prefixBits: 24, gateway: "203.0.113.1", host: "203.0.113.254" },
  ipv6: {
    address: "fd5a:9c1e:7b42::2",
    prefixBits: 64,
    gateway: "fd5a:9c1e:7b42::1",
    host: "fd5a:9c1e:7b42::fe",
  },
} as const;

/** Stands for the loopback of the machine that the sandbox runs on. */
export const HOST_NAME = "host.microsandbox.internal";

/** The gateway, which answers DNS and echo requests. */
export const GATEWAY_ADDRESSES: readonly string[] = [GUEST_NETWORK.ipv4.gateway, GUEST_NETWORK.ipv6.gateway];

/** What {@linkcode HOST_NAME} resolves to. */
export const HOST_ADDRESSES: readonly string[] = [GUEST_NETWORK.ipv4.host, GUEST_NETWORK.ipv6.host];
