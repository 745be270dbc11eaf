/**
 * Policy decisions in the plainest way: rule after rule, addresses as whole numbers of 128 bits that the URL parser read,
 * names as text. Shares nothing with `src/egress/policy`.
 *
 * @module
 */
import type { DestinationGroup, NetworkPolicy, Rule } from "../../../src/egress/config.ts";

export interface ModelFlow {
  readonly direction: "egress" | "ingress";
  readonly protocol: "tcp" | "udp" | "icmpv4" | "icmpv6";
  readonly address: string;
  readonly port: number;
  readonly names: readonly string[];
}

const GROUPS: readonly (readonly [DestinationGroup | "reserved", readonly string[]])[] = [
  [
    "metadata",
    [
      "169.254.169.254/32",
      "169.254.170.2/32",
      "169.254.170.23/32",
      "100.100.100.200/32",
      "168.63.129.16/32",
      "192.0.0.192/32",
      "fd00:ec2::254/128",
      "fd00:ec2::23/128",
      "fd20:ce::254/128",
    ],
  ],
  ["host", ["203.0.113.1/32", "203.0.113.254/32", "fd5a:9c1e:7b42::1/128", "fd5a:9c1e:7b42::fe/128"]],
  ["loopback", ["127.0.0.0/8", "::1/128"]],
  ["link-local", ["169.254.0.0/16", "fe80::/10"]],
  ["multicast", ["224.0.0.0/4", "ff00::/8"]],
  ["private", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"]],
  [
    "public",
    ["192.0.0.9/32", "192.0.0.10/32", "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"],
  ],
  [
    "reserved",
    ["0.0.0.0/8", "192.0.0.0/24", "203.0.113.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"],
  ],
  ["reserved", ["192.0.2.0/24", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]],
  ["public", ["0.0.0.0/0", "2000::/3"]],
];

/** The rule that decides, or -1 for the default. */
export function modelDecision(
  { rules, ...defaults }: NetworkPolicy,
  flow: ModelFlow,
): { action: string; rule: number } {
  const [bits, address] = canonical(flow.address);
  const protocol = flow.protocol.startsWith("icmp") ? (bits === 32 ? "icmpv4" : "icmpv6") : flow.protocol;
  const group = groupOf(bits, address);
  const isGuarded = group === "metadata" || group === "host";
  const rule = rules.findIndex((candidate) => {
    if (candidate.direction !== "any" && candidate.direction !== flow.direction) return false;
    if (candidate.protocols.length > 0 && !candidate.protocols.includes(protocol)) return false;
    if (protocol.startsWith("icmp") && candidate.ports.length > 0) return false;
    if (
      candidate.ports.length > 0 &&
      !candidate.ports.some((r) => r.start <= flow.port && flow.port <= r.end)
    )
      return false;
    if (!isAbout(candidate, bits, address, group, flow.names)) return false;
    if (candidate.action === "deny") return true;
    return isGuarded ? isNamed(candidate, group) : !isForHostName(candidate);
  });
  const decisive = rules[rule];
  if (decisive !== undefined) return { action: decisive.action, rule };
  if (flow.direction === "egress" && isGuarded) return { action: "deny", rule: -1 };
  return { action: flow.direction === "egress" ? defaults.defaultEgress : defaults.defaultIngress, rule: -1 };
}

function isAbout(
  { destination }: Rule,
  bits: number,
  address: bigint,
  group: string,
  names: readonly string[],
): boolean {
  switch (destination.kind) {
    case "any":
      return true;
    case "group":
      return destination.group === group;
    case "cidr":
      return contains(destination.cidr, bits, address);
    case "domain":
      return names.includes(destination.domain);
    case "domainSuffix": {
      const apex = destination.suffix.replace(/^\*?\./, "");
      const isWhole = !destination.suffix.startsWith("*");
      return names.some((name) => name.endsWith(`.${apex}`) || (isWhole && name === apex));
    }
  }
}

function isNamed({ destination }: Rule, group: string): boolean {
  if (destination.kind === "group") return true;
  if (destination.kind === "cidr") return /^[^/]*$|\.\d+\/32$|:.*\/128$/.test(destination.cidr);
  return isForHostName({ destination }) && group === "host";
}

/** The name of the host stands for the host alone, whatever a resolver says. */
function isForHostName({ destination }: Pick<Rule, "destination">): boolean {
  return destination.kind === "domain" && destination.domain === "host.microsandbox.internal";
}

function groupOf(bits: number, address: bigint): string {
  return GROUPS.find(([, cidrs]) => cidrs.some((cidr) => contains(cidr, bits, address)))?.[0] ?? "reserved";
}

const networks = new Map<string, readonly [number, bigint, bigint]>();

function contains(cidr: string, bits: number, address: bigint): boolean {
  let network = networks.get(cidr);
  if (network === undefined) {
    const [text = "", prefix] = cidr.split("/");
    const [size, base] = numberOf(text);
    const shift = BigInt(size - Number(prefix ?? size));
    network = [size, base >> shift, shift];
    networks.set(cidr, network);
  }
  return network[0] === bits && address >> network[2] === network[1];
}

function canonical(text: string): readonly [number, bigint] {
  const [bits, value] = numberOf(text);
  if (bits === 32) return [bits, value];
  const low = value & 0xffff_ffffn;
  if (value >> 32n === 0xffffn || value >> 32n === 0x64_ff9b_0000_0000_0000_0000n) return [32, low];
  if (value >> 80n === 0x64_ff9b_0001n) return [32, low];
  if (value >> 32n === 0n && value > 0xffffn) return [32, low];
  if (value >> 112n === 0x2002n) return [32, (value >> 80n) & 0xffff_ffffn];
  return [bits, value];
}

function numberOf(text: string): readonly [number, bigint] {
  if (!text.includes(":"))
    return [32, text.split(".").reduce((value, part) => value * 256n + BigInt(part), 0n)];
  const [head = "", tail] = new URL(`http://[${text}]/`).hostname.slice(1, -1).split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = new Array<string>(8 - left.length - right.length).fill("0");
  return [
    128,
    [...left, ...zeros, ...right].reduce((value, part) => value * 65_536n + BigInt(`0x${part}`), 0n),
  ];
}
