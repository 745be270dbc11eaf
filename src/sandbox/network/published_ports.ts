/**
 * The network of one sandbox as its holder sees it: addresses, and published ports.
 *
 * @module
 */
import { PortAction, PortFailure, PortProtocol } from "../../agent/port_codes.ts";
import {
  type BackendSandbox,
  isLive,
  type SandboxRecord,
  type SandboxStatus,
} from "../../backend/backend.ts";
import { checkObject, parseConfig } from "../../base/parse_config.ts";
import type { EgressReport } from "../../egress/update.ts";
import { NetworkError, PortInUseError } from "../../network/errors.ts";
import type { NetworkMode } from "../../network/network_plan.ts";
import {
  type PortAddress,
  type PortKind,
  type PublishedPort,
  parsePort,
} from "../../network/published_port.ts";
import { type PortOptions, portSchema } from "../../options/network_options.ts";
import { type NetworkUpdateOptions, parseNetworkUpdate } from "../../options/network_update.ts";
import { parseStoredConfig } from "../../options/sandbox_options.ts";
import { type NetworkFlowOptions, type NetworkFlowRecord, readFlows } from "./flows.ts";

/** Names one published port. */
export interface PortAddressOptions {
  /** The port on the host, 1 to 65535. */
  readonly hostPort: number;
  /** The host address it listens at. @default {"127.0.0.1"} */
  readonly bind?: string | undefined;
  /** `"tcp"` or `"udp"`. @default {"tcp"} */
  readonly protocol?: PortKind | undefined;
}

/** The network of a sandbox: the result of `SandboxNetwork.info()`. */
export interface NetworkInfo {
  /** The mode that the sandbox was created with. */
  readonly mode: NetworkMode;
  /** Address of the guest's interface; `undefined` in mode `none`. In mode `tap` it changes with each start. */
  readonly ip: string | undefined;
  /** The guest's gateway; `undefined` in mode `none`. */
  readonly gateway: string | undefined;
  /** MAC address of the guest's interface; `undefined` in mode `none`, and in mode `user` unless passt carries it. */
  readonly mac: string | undefined;
  /** Name of the TAP device on the host, in mode `tap`. */
  readonly tapName: string | undefined;
  /** The ports that are published now. */
  readonly ports: readonly PublishedPort[];
  /** What decides about its connections now; `undefined` while it does not run, and if its connections are not decided about. */
  readonly egress: EgressReport | undefined;
}

/**
 * The network of a sandbox: `sandbox.network`.
 *
 * @example
 * ```ts
 * const { ip, ports } = await sandbox.network.info();
 * console.log(ip, ports.map(({ hostPort, guestPort }) => `${hostPort} -> ${guestPort}`));
 * ```
 */
export class SandboxNetwork {
  /** The ports of the host that lead to the sandbox. */
  readonly ports: SandboxPorts;

  readonly #sandbox: BackendSandbox;

  /** Use `Sandbox.network`. */
  constructor(sandbox: BackendSandbox) {
    this.#sandbox = sandbox;
    this.ports = new SandboxPorts(sandbox);
  }

  /**
   * Changes what decides about the sandbox's connections, in mode `user`, until it stops; its next start is as it was created.
   * Connections that are no longer allowed end. `allow`, `deny`, `rules` and `policy` are the whole of its rules then; of the rest,
   * what is left out stays as it is.
   *
   * @throws {InvalidConfigError} `invalidConfig`, naming each field that is wrong; nothing has changed then.
   * @throws {MicrosandboxError} `network`, if the sandbox has no such network.
   * @throws {UnsupportedError} `unsupported`, if another process gave hooks, and so carries the connections.
   * @throws {SandboxNotRunningError} `sandboxNotRunning`.
   *
   * @example
   * ```ts no-run: needs a network
   * await sandbox.network.update({ allow: ["packages.example"] });
   * await sandbox.network.update({ secrets: { GH_TOKEN: { value: "another value" } } });
   * ```
   */
  async update(options: NetworkUpdateOptions): Promise<void> {
    checkObject(options, "options");
    const update = parseNetworkUpdate(options, await this.#sandbox.updateNetwork({}));
    await this.#sandbox.updateNetwork(update);
  }

  /**
   * Reads what was decided about the sandbox's connections, whether it runs or not: a record when a connection is let in or
   * denied, and one when it ends. The records are those of the log source `network`.
   *
   * @example
   * ```ts
   * for await (const flow of sandbox.network.flows()) {
   *   if (flow.kind === "flow") console.log(flow.timestamp, flow.decision, flow.reason, flow.name ?? flow.address, flow.port);
   * }
   * ```
   */
  flows(options: NetworkFlowOptions = {}): AsyncIterableIterator<NetworkFlowRecord> {
    return readFlows(this.#sandbox, options);
  }

  /** Reads mode, addresses, published ports and rules. A sandbox that is booting or not running has no ports. */
  async info(): Promise<NetworkInfo> {
    const record = await this.#sandbox.record();
    const { network } = parseStoredConfig(record.configJson);
    const plan = await this.#sandbox.backend.networkPlan(network, this.#sandbox.id);
    return {
      mode: network.mode,
      ip: plan?.address,
      gateway: plan?.gateway,
      mac: plan?.mac,
      tapName: plan?.mode === "tap" ? plan.tapName : undefined,
      ports: await this.#portsOf(record),
      egress: plan?.mode === "user" && plan.via === "host" ? await this.#egressOf(record) : undefined,
    };
  }

  async #portsOf(record: SandboxRecord): Promise<PublishedPort[]> {
    return (await this.#whileServing(record, () => this.ports.list())) ?? [];
  }

  #egressOf(record: SandboxRecord): Promise<EgressReport | undefined> {
    return this.#whileServing(record, () => this.#sandbox.updateNetwork({}));
  }

  /** Asks the VM host process; `undefined` if none answers. */
  async #whileServing<T>({ status }: SandboxRecord, ask: () => Promise<T>): Promise<T | undefined> {
    if (!isServing(status)) return undefined;
    try {
      return await ask();
    } catch (error) {
      const now = await this.#sandbox.find();
      if (now !== undefined && isServing(now.status)) throw error;
      return undefined; // it ended while we asked
    }
  }
}

/**
 * The published ports of a running sandbox. Ports added here last until it stops; those it was created with come back when
 * it starts again.
 *
 * @example
 * ```ts
 * await sandbox.shell("httpd -p 127.0.0.1:80 -h /");
 * const { hostPort } = await sandbox.network.ports.add({ hostPort: 0, guestPort: 80 });
 * await fetch(`http://127.0.0.1:${hostPort}/`);
 * ```
 */
export class SandboxPorts {
  readonly #sandbox: BackendSandbox;

  /** Use `Sandbox.network.ports`. */
  constructor(sandbox: BackendSandbox) {
    this.#sandbox = sandbox;
  }

  /**
   * Lists the published ports, each with the host port that was chosen for it.
   *
   * @throws {SandboxNotRunningError} `sandboxNotRunning`.
   */
  async list(): Promise<PublishedPort[]> {
    return await this.#change(PortAction.list, { protocol: "tcp", bind: "", hostPort: 0, guestPort: 0 });
  }

  /**
   * Publishes one more port. Returns it with the host port that was chosen, if `hostPort` is 0.
   *
   * @throws {InvalidConfigError} `invalidConfig`, naming the fields that are wrong.
   * @throws {PortInUseError} `portInUse`, if another program has the host port.
   * @throws {NetworkError} `network`, if the host does not have the address, or forbids the port.
   * @throws {SandboxNotRunningError} `sandboxNotRunning`.
   */
  async add(port: PortOptions): Promise<PublishedPort> {
    const [added] = await this.#change(PortAction.add, parsePortOptions(port));
    if (added === undefined) throw new NetworkError("The sandbox did not report the port that it published");
    return added;
  }

  /**
   * Stops publishing a port, and ends its connections.
   *
   * @throws {NetworkError} `network`, if the port is not published.
   * @throws {SandboxNotRunningError} `sandboxNotRunning`.
   */
  async remove({ hostPort, bind, protocol }: PortAddressOptions): Promise<void> {
    await this.#change(PortAction.remove, parsePortOptions({ hostPort, bind, protocol, guestPort: 1 }));
  }

  async #change(action: number, port: PublishedPort): Promise<PublishedPort[]> {
    const client = await this.#sandbox.connect();
    const { failure, message, ports } = await client.changePorts({
      ...port,
      action,
      protocol: PortProtocol[port.protocol],
    });
    if (failure !== PortFailure.none) throw failureOf(failure, message, port);
    return ports.map(parsePort);
  }
}

/** Whether the VM host process answers clients: not while it boots. */
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
