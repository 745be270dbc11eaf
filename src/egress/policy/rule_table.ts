/**
 * Rules in a form in which the first one that matches is found fast: 1,000 of them take a few microseconds.
 *
 * @module
 */
import type { Destination, PortRange, Rule } from "../config.ts";
import { HOST_NAME } from "../guest_network.ts";
import { type Address, masksOf, parseCidr } from "./address.ts";
import { parseDomain, parseSuffix } from "./domain.ts";
import { ANY_GROUP, GROUP_BITS, GUARDED_GROUPS } from "./groups.ts";

/** What is asked about one flow. */
export interface TableFlow {
  readonly address: Address;
  readonly groupBit: number;
  readonly port: number;
  readonly names: readonly string[];
}

/** The parts of a rule that are the same whatever its destination is. */
interface Row {
  readonly index: number;
  /** Groups in which it may match. */
  readonly groups: number;
  readonly ports: readonly PortRange[];
}

/** A rule about addresses. Without a network both sides of the comparison are zero. */
interface AddressRow extends Row {
  readonly words: Address["words"];
  readonly masks: Address["words"];
}

/** Index for "no rule". */
export const NO_RULE: number = Number.POSITIVE_INFINITY;

const NO_WORDS: Address["words"] = [0, 0, 0, 0];

/** The rules of one direction, transport and address family. */
export class RuleTable {
  readonly #addressRows: AddressRow[] = [];
  readonly #nameRows: Row[] = [];
  readonly #names = new NameIndex<Row>();
  readonly #ignoresPorts: boolean;

  /** @param rules With their places in the policy. */
  constructor(rules: readonly (readonly [index: number, rule: Rule])[], family: 4 | 6, ignoresPorts = false) {
    this.#ignoresPorts = ignoresPorts;
    for (const [index, rule] of rules) {
      if (ignoresPorts && rule.ports.length > 0) continue; // echo requests have none
      const row = { index, groups: groupsOf(rule), ports: rule.ports };
      if (this.#names.add(rule.destination, row)) this.#nameRows.push(row);
      else this.#addAddresses(rule.destination, row, family);
    }
  }

  /** The first rule that matches; {@linkcode NO_RULE} if none does. `nameMatters`: a rule about another name comes earlier. */
  find(flow: TableFlow): { readonly index: number; readonly nameMatters: boolean } {
    const byAddress = this.#findAddress(flow);
    let index = byAddress;
    for (const name of flow.names)
      this.#names.forEach(name, (row) => {
        if (row.index < index && this.#fits(row, flow)) index = row.index;
      });
    return { index, nameMatters: this.#hasNameRuleBefore(byAddress, flow) };
  }

  #findAddress(flow: TableFlow): number {
    const [a, b, c, d] = flow.address.words;
    for (const row of this.#addressRows) {
      const { words, masks } = row;
      if (((a ^ words[0]) & masks[0]) !== 0 || ((b ^ words[1]) & masks[1]) !== 0) continue;
      if (((c ^ words[2]) & masks[2]) !== 0 || ((d ^ words[3]) & masks[3]) !== 0) continue;
      if (this.#fits(row, flow)) return row.index;
    }
    return NO_RULE;
  }

  #hasNameRuleBefore(index: number, flow: TableFlow): boolean {
    for (const row of this.#nameRows) {
      if (row.index > index) return false;
      if (this.#fits(row, flow)) return true;
    }
    return false;
  }

  #fits({ groups, ports }: Row, { groupBit, port }: TableFlow): boolean {
    if ((groups & groupBit) === 0) return false;
    return ports.length === 0 || this.#ignoresPorts || hasPort(ports, port);
  }

  #addAddresses(destination: Destination, row: Row, family: 4 | 6): void {
    if (destination.kind !== "cidr") {
      this.#addressRows.push({ ...row, words: NO_WORDS, masks: NO_WORDS });
      return;
    }
    const cidr = parseCidr(destination.cidr);
    if (cidr?.address.family !== family) return;
    this.#addressRows.push({ ...row, words: cidr.address.words, masks: masksOf(cidr) });
  }
}

/** What rules say of names: by whole names, and by suffixes label after label. */
export class NameIndex<Row> {
  readonly #exact = new Map<string, Row[]>();
  readonly #suffixes = new Map<string, Row[]>();
  /** Suffixes without the domain itself. */
  readonly #below = new Map<string, Row[]>();

  /** Whether `destination` is about names. */
  add(destination: Destination, row: Row): boolean {
    if (destination.kind === "domain") {
      append(this.#exact, parseDomain(destination.domain).name, row);
      return true;
    }
    if (destination.kind !== "domainSuffix") return false;
    const suffix = parseSuffix(destination.suffix);
    if (suffix.problem === undefined) append(suffix.hasApex ? this.#suffixes : this.#below, suffix.name, row);
    return true;
  }

  /** Calls `see` for each row whose rule has `name`. */
  forEach(name: string, see: (row: Row) => void): void {
    this.#exact.get(name)?.forEach(see);
    for (let suffix = name; ; ) {
      this.#suffixes.get(suffix)?.forEach(see);
      const dot = suffix.indexOf(".");
      if (dot < 0) return;
      suffix = suffix.slice(dot + 1);
      this.#below.get(suffix)?.forEach(see);
    }
  }
}

/**
 * The groups in which a rule may match. A deny holds everywhere. An allow does not reach a guarded group unless it names it:
 * by the group, by one whole address, or by the host's name.
 */
function groupsOf({ action, destination }: Rule): number {
  if (destination.kind === "group") return GROUP_BITS[destination.group];
  if (action === "deny") return ANY_GROUP;
  if (destination.kind === "domain") {
    const isHost = parseDomain(destination.domain).name === HOST_NAME;
    return isHost ? GROUP_BITS.host : ANY_GROUP & ~GUARDED_GROUPS;
  }
  return isOneAddress(destination) ? ANY_GROUP : ANY_GROUP & ~GUARDED_GROUPS;
}

function isOneAddress(destination: Destination): boolean {
  const cidr = destination.kind === "cidr" ? parseCidr(destination.cidr) : undefined;
  return cidr !== undefined && cidr.prefixBits === (cidr.address.family === 4 ? 32 : 128);
}

function hasPort(ports: readonly PortRange[], port: number): boolean {
  for (const { start, end } of ports) if (port >= start && port <= end) return true;
  return false;
}

function append<Row>(map: Map<string, Row[]>, key: string | undefined, row: Row): void {
  if (key === undefined) return;
  const rows = map.get(key);
  if (rows === undefined) map.set(key, [row]);
  else rows.push(row);
}
