/**
 * Answers a guest's DNS queries: decides what it may ask, which resolver is asked, and which parts of the answer it sees.
 *
 * @module
 */
import type { Answer } from "dns-packet";
import type { Bytes } from "../../base/bytes.ts";
import type { DnsConfig } from "../config.ts";
import { GUEST_NETWORK, HOST_NAME } from "../guest_network.ts";
import { GROUP_BITS } from "../policy/groups.ts";
import type { CompiledPolicy } from "../policy/policy.ts";
import { parseHostName } from "../tls/host_name.ts";
import type { Ipv6Routes } from "./ipv6_routes.ts";
import {
  encodeReply,
  nameKey,
  parseQuery,
  type Query,
  Rcode,
  type RcodeValue,
  type Reply,
} from "./message.ts";
import type { Nameservers } from "./nameservers.ts";
import type { Pins } from "./pins.ts";
import { reverseAddress } from "./reverse.ts";
import { resolve } from "./upstream.ts";

/** Most queries of a sandbox that wait for a resolver. Further ones fail. */
export const QUERIES_MAX = 128;
/** Longer than the longest message: TCP carries it whole. */
export const TCP_BYTES_MAX = 65_535;
/** Most aliases in a chain, as in BIND and Unbound. */
const ALIASES_MAX = 16;
/** Lifetime of answers that are made here. The host's name does not change, but a rule may. */
const OWN_TTL_SECONDS = 60;
/** The guest keeps answers no longer than their pins hold. */
const TTL_SECONDS_MAX = 86_400;

/** Types that resolvers are asked for. Programs in a sandbox need no others, and others can hide much. */
const TYPES: ReadonlySet<string> = new Set([
  "A",
  "AAAA",
  "CNAME",
  "MX",
  "TXT",
  "SRV",
  "NS",
  "SOA",
  "PTR",
  "CAA",
  "NAPTR",
]);
/**
 * SVCB and HTTPS (RFC 9460) carry keys that encrypt the name in TLS, and addresses beside those that are pinned. Clients do
 * without.
 */
const EMPTY_TYPES: ReadonlySet<string> = new Set(["UNKNOWN_64", "UNKNOWN_65", "SVCB", "HTTPS"]);

/** Why a query was not answered as it was asked. */
export interface DnsDenial {
  readonly name: string;
  readonly reason: "rule" | "default" | "unnamed" | "rebinding" | "queryType" | "unroutable";
  readonly rule?: number | undefined;
  readonly detail?: string | undefined;
}

/** What a responder works with. What can change is asked again for each query. */
export interface ResponderTools {
  readonly policy: () => CompiledPolicy;
  readonly config: () => DnsConfig;
  readonly nameservers: () => Nameservers;
  readonly pins: Pins;
  readonly routes: Ipv6Routes;
}

/** Answers the queries of one sandbox. */
export class Responder {
  readonly #tools: ResponderTools;
  #waiting = 0;

  constructor(tools: ResponderTools) {
    this.#tools = tools;
  }

  /**
   * The answer to a guest's message; `undefined` if it gets none. Never rejects.
   *
   * @param isTcp Whether the answer may have any length.
   * @param tell Called with what was denied.
   */
  async answer(
    message: Uint8Array,
    isTcp: boolean,
    signal: AbortSignal,
    tell: (denial: DnsDenial) => void,
  ): Promise<Bytes | undefined> {
    const parsed = parseQuery(message);
    if (parsed?.query === undefined) return parsed?.reply;
    const { query } = parsed;
    const bytesMax = isTcp ? TCP_BYTES_MAX : query.payloadBytes;
    if (this.#waiting >= QUERIES_MAX) return encodeReply(query, Rcode.serverFailure);
    this.#waiting++;
    try {
      const { rcode, answers = [], authorities = [] } = await this.#resolve(query, signal, tell);
      return encodeReply(query, rcode, answers, authorities, bytesMax);
    } catch {
      return encodeReply(query, Rcode.serverFailure); // the package can read this record, but not write it
    } finally {
      this.#waiting--;
    }
  }

  async #resolve(query: Query, signal: AbortSignal, tell: (denial: DnsDenial) => void): Promise<Outcome> {
    const { type, host } = query;
    const deny = (rcode: RcodeValue, denial: Omit<DnsDenial, "name">): Outcome => {
      tell({ name: nameKey(query.name), ...denial });
      return { rcode };
    };
    if (type === "ANY") return deny(Rcode.refused, { reason: "queryType", detail: type });
    if (!TYPES.has(type) && !EMPTY_TYPES.has(type))
      return deny(Rcode.notImplemented, { reason: "queryType", detail: type });
    if (host === undefined)
      return deny(Rcode.refused, { reason: "unroutable", detail: "this is not the name of a host" });
    const policy = this.#tools.policy();
    const decision = policy.decideName(host);
    if (decision.action === "deny")
      return deny(Rcode.noSuchName, { reason: decision.reason, rule: decision.rule });
    if (host === HOST_NAME) return ownAnswer(query);
    const reversed = reverseAddress(host);
    if (reversed !== undefined && policy.groupBitOf(reversed) !== GROUP_BITS.public)
      return { rcode: Rcode.noSuchName };
    if (EMPTY_TYPES.has(type)) return { rcode: Rcode.ok };
    const { queryTimeoutMs } = this.#tools.config();
    const servers = await this.#tools.nameservers().list();
    const reply = await resolve({ name: host, type }, servers, queryTimeoutMs, signal);
    if (reply === undefined) return { rcode: Rcode.serverFailure };
    return await this.#seen(query, host, reply, deny);
  }

  /** What the guest may see of a resolver's answer. Pins its addresses. */
  async #seen(
    { type }: Query,
    host: string,
    reply: Reply,
    deny: (rcode: RcodeValue, denial: Omit<DnsDenial, "name">) => Outcome,
  ): Promise<Outcome> {
    const policy = this.#tools.policy();
    const chain = followAliases(host, reply.answers);
    for (const alias of chain.names.slice(1)) {
      const rule = deniedBy(policy, alias);
      if (rule !== undefined)
        return deny(Rcode.noSuchName, { reason: "rule", rule, detail: `alias ${alias}` });
    }
    const last = chain.names.at(-1);
    const found = reply.answers.filter((record) => record.type === type && nameKey(record.name) === last);
    const kept = found.filter((record) => !this.#isRebinding(record));
    if (kept.length < found.length && kept.length === 0)
      return deny(Rcode.noSuchName, { reason: "rebinding", detail: textOf(found[0]) });
    const reachable = type === "AAAA" ? await this.#reachable(kept) : kept;
    const isEmpty = reachable.length === 0 && type !== "CNAME";
    const answers = isEmpty && kept.length > 0 ? [] : [...chain.records, ...reachable].map(capTtl);
    if (type === "A" || type === "AAAA")
      this.#tools.pins.add(host, reachable.flatMap(addressOf), Math.max(0, ...reachable.map(ttlOf)));
    const authorities = isEmpty
      ? reply.authorities.filter(({ type: kind }) => kind === "SOA").map(capTtl)
      : [];
    const rcode = reply.rcode === Rcode.noSuchName ? Rcode.noSuchName : Rcode.ok;
    return { rcode, answers, authorities };
  }

  /** Whether a public name must not have this address. Otherwise a page or a package could reach into the local network. */
  #isRebinding(record: Answer): boolean {
    const [address] = addressOf(record);
    if (address === undefined) return false;
    const policy = this.#tools.policy();
    const group = policy.groupBitOf(address);
    if (group === GROUP_BITS.public) return false;
    if (group === GROUP_BITS.loopback || group === GROUP_BITS.host || group === GROUP_BITS.metadata)
      return !policy.allowsAddress(address) || group === GROUP_BITS.loopback;
    return this.#tools.config().rebindProtection && !policy.allowsAddress(address);
  }

  async #reachable(records: readonly Answer[]): Promise<readonly Answer[]> {
    const flags = await Promise.all(
      records.map(async (record) => {
        const [address] = addressOf(record);
        return address !== undefined && (await this.#tools.routes.reach(address));
      }),
    );
    return records.filter((_, index) => flags[index]);
  }
}

interface Outcome {
  readonly rcode: RcodeValue;
  readonly answers?: readonly Answer[];
  readonly authorities?: readonly Answer[];
}

/** The host's name, which no resolver knows. */
function ownAnswer({ name, type }: Query): Outcome {
  const records: Readonly<Record<string, Answer>> = {
    A: { name, type: "A", ttl: OWN_TTL_SECONDS, data: GUEST_NETWORK.ipv4.host },
    AAAA: { name, type: "AAAA", ttl: OWN_TTL_SECONDS, data: GUEST_NETWORK.ipv6.host },
  };
  const record = Object.hasOwn(records, type) ? records[type] : undefined;
  return { rcode: Rcode.ok, answers: record === undefined ? [] : [record] };
}

/** The names that a name stands for, one after the other, with the records that say so. */
function followAliases(
  host: string,
  answers: readonly Answer[],
): { names: readonly string[]; records: readonly Answer[] } {
  const names = [host];
  const records: Answer[] = [];
  while (names.length <= ALIASES_MAX) {
    const alias = answers.find((record) => record.type === "CNAME" && nameKey(record.name) === names.at(-1));
    if (alias?.type !== "CNAME") break;
    const target = nameKey(alias.data);
    if (names.includes(target)) break;
    names.push(target);
    records.push(alias);
  }
  return { names, records };
}

/** The rule that denies a name itself, where a name that is allowed is an alias for it. */
function deniedBy(policy: CompiledPolicy, alias: string): number | undefined {
  const host = parseHostName(alias);
  if (host === undefined) return undefined;
  const { action, rule } = policy.decideName(host);
  const kind = policy.ruleAt(rule)?.destination.kind;
  return action === "deny" && (kind === "domain" || kind === "domainSuffix") ? rule : undefined;
}

function addressOf(record: Answer): readonly string[] {
  return record.type === "A" || record.type === "AAAA" ? [record.data] : [];
}

function ttlOf(record: Answer): number {
  return "ttl" in record ? (record.ttl ?? 0) : 0;
}

function capTtl(record: Answer): Answer {
  return ttlOf(record) > TTL_SECONDS_MAX ? ({ ...record, ttl: TTL_SECONDS_MAX } as Answer) : record;
}

function textOf(record: Answer | undefined): string | undefined {
  return record === undefined ? undefined : addressOf(record)[0];
}
