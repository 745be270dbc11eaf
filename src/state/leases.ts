/**
 * Which sandbox has which address: a lease lasts as long as the process that holds it, and as the network device that was
 * made for it. A lease need not be given back, and cannot be given back twice: it is removed when both are gone.
 *
 * @module
 */
import { assert } from "../base/assert.ts";
import { hasNetworkInterface } from "../platform/network_interface.ts";
import { isSameProcess, type ProcessIdentity } from "../platform/process_identity.ts";
import type { Database, Row } from "./database.ts";

/** An address of a sandbox. */
export interface Lease {
  readonly sandboxId: string;
  /** An IPv4 address as a number. */
  readonly address: number;
  /** The host's network device that leads there, while the VM runs. */
  readonly device: string;
  /** Where the address is from: texts that are equal name one network. */
  readonly network: string;
  /** The VM host process; before there is one, the process that is creating the sandbox. */
  readonly holder: ProcessIdentity;
  /** Whether the host's routing knows of it. */
  readonly isRouted: boolean;
}

/** What is asked for. */
export interface LeaseRequest extends Pick<Lease, "sandboxId" | "device" | "network" | "holder"> {
  /** The addresses to choose from, both ends included, without `gateway`. */
  readonly first: number;
  readonly last: number;
  readonly gateway: number;
  /** Whether another network, by its text, has addresses of this one. */
  readonly overlaps: (network: string) => boolean;
}

export type LeaseOutcome =
  | { readonly kind: "leased"; readonly address: number }
  | { readonly kind: "exhausted" }
  /** Sandboxes have addresses of another network that this one overlaps. */
  | { readonly kind: "overlap"; readonly network: string };

/**
 * Takes back what the host's routing knows of a lease whose VM host process was killed, and says whether it could. Called
 * within a transaction, for which other processes wait: it has to be done well before they give up.
 */
export type Unroute = (lease: Lease) => boolean;

/** The leases in the state database. */
export class Leases {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Leases the lowest free address; a lease that the sandbox has already, as its own creator's, goes to the new holder. */
  take(request: LeaseRequest, unroute: Unroute): LeaseOutcome {
    const { sandboxId, device, network, first, last, gateway, holder } = request;
    return this.#database.transaction(() => {
      this.#sweep(unroute);
      const leases = this.#all();
      const other = leases.find((lease) => lease.network !== network && request.overlaps(lease.network));
      if (other !== undefined) return { kind: "overlap", network: other.network };
      const own = leases.find((lease) => lease.sandboxId === sandboxId);
      const address = own?.address ?? lowestFree(leases, first, last, gateway);
      if (address === undefined) return { kind: "exhausted" };
      this.#database.run(
        `INSERT INTO lease (sandbox_id, address, device, network, holder_pid, holder_start_time, is_routed)
           VALUES (?, ?, ?, ?, ?, ?, 0)
         ON CONFLICT (sandbox_id) DO UPDATE SET holder_pid = excluded.holder_pid,
           holder_start_time = excluded.holder_start_time`,
        sandboxId,
        address,
        device,
        network,
        holder.pid,
        holder.startTime,
      );
      return { kind: "leased", address };
    });
  }

  /** Notes whether the host's routing knows of a lease, which is its holder's doing. */
  setRouted(sandboxId: string, isRouted: boolean): void {
    this.#database.run("UPDATE lease SET is_routed = ? WHERE sandbox_id = ?", Number(isRouted), sandboxId);
  }

  /** Releases what `holder` has leased, unless it was used. Does nothing if another process holds it now. */
  release(sandboxId: string, { pid, startTime }: ProcessIdentity): void {
    this.#database.run(
      "DELETE FROM lease WHERE sandbox_id = ? AND holder_pid = ? AND holder_start_time = ?",
      sandboxId,
      pid,
      startTime,
    );
  }

  /** The lease of a sandbox, whether its holder lives or not. */
  find(sandboxId: string): Lease | undefined {
    const row = this.#database.get("SELECT * FROM lease WHERE sandbox_id = ?", sandboxId);
    return row === undefined ? undefined : decode(row);
  }

  /** Whether there is a lease that is over. */
  hasEnded(): boolean {
    return this.#all().some(isOver);
  }

  /** Strikes out the leases that are over, but for routes that cannot be taken back; returns those that are left. */
  sweep(unroute: Unroute): Lease[] {
    return this.#database.transaction(() => {
      this.#sweep(unroute);
      return this.#all();
    });
  }

  #sweep(unroute: Unroute): void {
    let canUnroute = true; // what one route failed by, others would wait for in vain as well
    for (const lease of this.#all()) {
      if (!isOver(lease)) continue;
      if (lease.isRouted) canUnroute &&= unroute(lease);
      if (lease.isRouted && !canUnroute) continue;
      this.#database.run("DELETE FROM lease WHERE sandbox_id = ?", lease.sandboxId);
    }
  }

  #all(): Lease[] {
    return this.#database.all("SELECT * FROM lease ORDER BY address").map(decode);
  }
}

/** Whether nothing is left of what a lease was for. An engine may outlive its VM host process for a moment. */
export function isOver({ holder, device }: Lease): boolean {
  return !isSameProcess(holder) && !hasNetworkInterface(device);
}

/** `leases` are in order of address. */
function lowestFree(
  leases: readonly Lease[],
  first: number,
  last: number,
  gateway: number,
): number | undefined {
  const taken = [...leases.map(({ address }) => address), gateway].toSorted((a, b) => a - b);
  let address = first;
  for (const next of taken) if (next === address) address++;
  return address <= last ? address : undefined;
}

function decode(row: Row): Lease {
  const { sandbox_id: sandboxId, address, device, network, holder_pid: pid, holder_start_time: start } = row;
  assert(typeof sandboxId === "string" && typeof device === "string", "a lease's names");
  assert(typeof network === "string" && typeof address === "number", "a lease's address");
  assert(typeof pid === "number" && typeof start === "string", "a lease's holder");
  return {
    sandboxId,
    address,
    device,
    network,
    holder: { pid, startTime: start },
    isRouted: row["is_routed"] === 1,
  };
}
