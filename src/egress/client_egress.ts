/**
 * The way out of a sandbox whose connections this process carries, since its functions see the requests. It tells the VM host process
 * what goes into the sandbox's log and metrics, and ends with the connection to it: the guest has no interface then.
 *
 * @module
 */
import type { AgentClient } from "../agent/client.ts";
import { backgroundClock } from "../base/clock.ts";
import { MicrosandboxError } from "../base/errors.ts";
import { settlesWithin } from "../base/wait.ts";
import type { EgressConfig } from "./config.ts";
import { Egress, type EgressOptions } from "./egress.ts";
import type { FlowEntry } from "./flows/flow_log.ts";
import { AgentGuestLink, GUEST_ADDRESSES, type Traffic } from "./guest/guest_link.ts";
import { installTrust, loadInterceptor } from "./guest/guest_setup.ts";
import type { HttpHooks } from "./http/hooks.ts";
import type { ServerReport, TrafficTotals } from "./server_report.ts";
import { applyEgressUpdate, type EgressReport, type EgressUpdate, reportOf } from "./update.ts";

/** How often a network that a guest has ended is started again, and how soon. */
const RESTARTS_MAX = 5;
const RESTART_DELAY_MS = 1_000;
/** How long running hooks may delay the end of the guest's network. */
const CLOSE_TIMEOUT_MS = 400;
/** How often the totals are told, while they change. */
const TRAFFIC_INTERVAL_MS = 1_000;

/** What {@linkcode ClientEgress} is made with. */
export interface ClientEgressOptions {
  /** A connection of its own, for as long as it lasts. */
  readonly client: AgentClient;
  /** Checked already. */
  readonly config: EgressConfig;
  readonly hooks: HttpHooks;
  /** Tells the VM host process. @default {@linkcode AgentClient.reportNetwork} */
  readonly report?: ((report: ServerReport) => Promise<void>) | undefined;
  /** Where an address is really dialled: a test's servers listen on loopback. */
  readonly route?: EgressOptions["route"];
}

/** See the module. */
export class ClientEgress {
  readonly #client: AgentClient;
  readonly #hooks: HttpHooks;
  readonly #route: EgressOptions["route"];
  readonly #report: (report: ServerReport) => Promise<void>;
  #config: EgressConfig;
  #egress: Egress | undefined;
  #rxBytes = 0;
  #txBytes = 0;
  #isTellingTraffic = false;
  /** Updates are done one after the other: the last one holds. */
  #updated: Promise<unknown> = Promise.resolve();

  /** Gives the guest its network. Resolves when it can be used, and what reads it is trusted. @throws {MicrosandboxError} */
  static async open(options: ClientEgressOptions): Promise<ClientEgress> {
    const egress = new ClientEgress(options);
    const link = await egress.#start();
    void egress.#run(link);
    return egress;
  }

  private constructor({ client, config, hooks, report, route }: ClientEgressOptions) {
    this.#client = client;
    this.#route = route;
    this.#config = config;
    this.#hooks = hooks;
    this.#report = report ?? ((message) => client.reportNetwork(message));
  }

  /** Puts other rules into force: connections that they do not allow end. @throws {MicrosandboxError} of code `network` */
  update(update: EgressUpdate): Promise<EgressReport> {
    const updated = this.#updated.then(() => this.#update(update));
    this.#updated = updated.catch(() => {});
    return updated;
  }

  async #update(update: EgressUpdate): Promise<EgressReport> {
    if (this.#egress === undefined) throw new MicrosandboxError("network", "The sandbox's network has ended");
    const config = applyEgressUpdate(this.#config, update);
    this.#egress.update(config);
    this.#config = config;
    const rules = this.#rules();
    await this.#report({ type: "updated", rules });
    return rules;
  }

  #rules(): EgressReport {
    return { ...reportOf(this.#config), servedBy: "client" };
  }

  get #traffic(): TrafficTotals {
    return { rxBytes: this.#rxBytes, txBytes: this.#txBytes };
  }

  async #start(): Promise<AgentGuestLink> {
    const interceptor = await loadInterceptor(this.#config, this.#hooks);
    const link = await AgentGuestLink.open(this.#client, GUEST_ADDRESSES, this.#counting());
    try {
      this.#egress = new Egress({
        link,
        config: this.#config,
        interceptor,
        flowSink: { write: (entries, lostCount) => this.#log(entries, lostCount) },
        onTerminate: (reason) => this.#tell({ type: "terminate", reason }),
        isBackground: true,
        route: this.#route,
      });
      const variables = await installTrust(this.#client, this.#config);
      await this.#report({ type: "serving", variables, rules: this.#rules() });
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Until the connection ends; a guest that kills its side gets it again a few times. Never rejects. */
  async #run(first: AgentGuestLink): Promise<void> {
    let isOver = false;
    void this.#client.closed.then(() => {
      isOver = true;
    });
    let link: AgentGuestLink | undefined = first;
    for (let restarts = 0; link !== undefined; restarts++) {
      await link.closed;
      const closed = this.#egress?.close() ?? Promise.resolve();
      this.#egress = undefined;
      await settlesWithin(closed, CLOSE_TIMEOUT_MS, backgroundClock); // a hook may never end
      this.#tell({ type: "ended", traffic: this.#traffic });
      if (restarts < RESTARTS_MAX)
        await Promise.race([
          this.#client.closed,
          new Promise<void>((resolve) => {
            backgroundClock.after(RESTART_DELAY_MS, resolve);
          }),
        ]);
      link = isOver || restarts >= RESTARTS_MAX ? undefined : await this.#start().catch(() => undefined);
    }
  }

  async #log(entries: readonly FlowEntry[], lostCount: number): Promise<void> {
    await this.#report({ type: "flows", entries, lostCount, traffic: this.#traffic });
  }

  /** Ignores a report that cannot be sent: the connection has ended, so no process could read the failure. */
  #tell(report: ServerReport): void {
    this.#report(report).catch(() => {});
  }

  #counting(): Traffic {
    return {
      received: (bytes) => {
        this.#rxBytes += bytes;
        this.#tellTraffic();
      },
      sent: (bytes) => {
        this.#txBytes += bytes;
        this.#tellTraffic();
      },
    };
  }

  #tellTraffic(): void {
    if (this.#isTellingTraffic) return;
    this.#isTellingTraffic = true;
    backgroundClock.after(TRAFFIC_INTERVAL_MS, () => {
      this.#isTellingTraffic = false;
      this.#tell({ type: "traffic", traffic: this.#traffic });
    });
  }
}
