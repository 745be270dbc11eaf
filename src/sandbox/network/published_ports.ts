/**
 * The network of one sandbox: its published ports.
 *
 * @module
 */
import { PortAction, PortFailure, PortProtocol } from "../../agent/port_codes.ts";
import { presentPlan } from "../../backend/local/address_lease.ts";
import type { LocalSandbox } from "../../backend/local/local_sandbox.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { NetworkError, PortInUseError } from "../../network/errors.ts";
import type { NetworkMode } from "../../network/network_plan.ts";
import {
  type PortAddress,
  type PortKind,
  type PublishedPort,
  parsePort,
} from "../../network/published_port.ts";
import { type PortOptions, portSchema } from "../../options/network_options.ts";
import { parseStoredConfig } from "../../options/sandbox_options.ts";
import type { SandboxRecord } from "../../state/state_store.ts";
import { isLive, type SandboxStatus } from "../../state/status.ts";

/** What a published port is known by. */
export interface PortAddressOptions {
  readonly hostPort: number;
  /** @default {"127.0.0.1"} */
  readonly bind?: string | undefined;
  /** @default {"tcp"} */
  readonly protocol?: PortKind | undefined;
}

/** See `SandboxNetwork.info()`. */
export interface NetworkInfo {
  readonly mode: NetworkMode;
  /** Address of the guest's interface; none without a device. In mode `tap` it is another at each start. */
  readonly ip: string | undefined;
  readonly gateway: string | undefined;
  readonly mac: string | undefined;
  /** The host's end, in mode `tap`. */
  readonly tapName: string | undefined;
  readonly ports: readonly PublishedPort[];
}

/** See `Sandbox.network`. */
export class SandboxNetwork {
  /** Ports of the host that lead to the sandbox. */
  readonly ports: SandboxPorts;

  readonly #core: LocalSandbox;

  /** Use `Sandbox.network`. */
  constructor(core: LocalSandbox) {
    this.#core = core;
    this.ports = new SandboxPorts(core);
  }

  /** What the sandbox has; its ports are those of now, or none if it does not run or is still booting. */
  async info(): Promise<NetworkInfo> {
    const record = await this.#core.record();
    const { network } = parseStoredConfig(record.configJson);
    const plan = presentPlan(this.#core.state, network, this.#core.id);
    return {
      mode: network.mode,
      ip: plan?.address,
      gateway: plan?.gateway,
      mac: plan?.mac,
      tapName: plan?.mode === "tap" ? plan.tapName : undefined,
      ports: await this.#portsOf(record),
    };
  }

  async #portsOf({ status }: SandboxRecord): Promise<PublishedPort[]> {
    if (!isServing(status)) return [];
    try {
      return await this.ports.list();
    } catch (error) {
      const now = await this.#core.find();
      if (now !== undefined && isServing(now.status)) throw error;
      return []; // it ended meanwhile
    }
  }
}

/**
 * The published ports of a running sandbox. Those that are added here last until it stops; those that it was created with
 * come back when it starts again.
 *
 * @example
 * ```ts
 * const { hostPort } = await sandbox.network.ports.add({ hostPort: 0, guestPort: 80 });
 * await fetch(`http://127.0.0.1:${hostPort}/`);
 * ```
 */
export class SandboxPorts {
  readonly #core: LocalSandbox;

  /** Use `Sandbox.network.ports`. */
  constructor(core: LocalSandbox) {
    this.#core = core;
  }

  /** Those that are published now, each with the port that was chosen. @throws {SandboxNotRunningError} */
  async list(): Promise<PublishedPort[]> {
    return await this.#change(PortAction.list, { protocol: "tcp", bind: "", hostPort: 0, guestPort: 0 });
  }

  /**
   * Publishes one more; returns it with the port that was chosen.
   *
   * @throws {InvalidConfigError} if it is no port.
   * @throws {PortInUseError}
   * @throws {NetworkError} if the host does not have the address, or forbids the port.
   * @throws {SandboxNotRunningError}
   */
  async add(port: PortOptions): Promise<PublishedPort> {
    const [added] = await this.#change(PortAction.add, parsePortOptions(port));
    if (added === undefined) throw new NetworkError("The sandbox did not say which port it publishes");
    return added;
  }

  /** Stops publishing it and ends its connections. @throws {NetworkError} if it is not published. */
  async remove({ hostPort, bind, protocol }: PortAddressOptions): Promise<void> {
    await this.#change(PortAction.remove, parsePortOptions({ hostPort, bind, protocol, guestPort: 1 }));
  }

  async #change(action: number, port: PublishedPort): Promise<PublishedPort[]> {
    const client = await this.#core.connect();
    const { failure, message, ports } = await client.changePorts({
      ...port,
      action,
      protocol: PortProtocol[port.protocol],
    });
    if (failure !== PortFailure.none) throw failureOf(failure, message, port);
    return ports.map(parsePort);
  }
}

/** Whether its VM host process answers: while it boots, that greets nobody. */
function isServing(status: SandboxStatus): boolean {
  return isLive(status) && status !== "creating";
}

function parsePortOptions(port: PortOptions): PublishedPort {
  return parseConfig(portSchema, port, "port");
}

function failureOf(failure: number, message: string, port: PortAddress): Error {
  if (failure === PortFailure.inUse) return new PortInUseError(port);
  if (failure === PortFailure.notPublished) {
    const { protocol, bind, hostPort } = port;
    return new NetworkError(`${protocol.toUpperCase()} port ${hostPort} of ${bind} is not published`);
  }
  return new NetworkError(message);
}
