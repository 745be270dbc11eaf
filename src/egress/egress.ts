/**
 * Carries what a guest sends into the network, as far as its rules allow.
 *
 * @module
 */
import { backgroundClock, type Clock, systemClock } from "../base/clock.ts";
import { settlesWithin } from "../base/wait.ts";
import type { EgressConfig } from "./config.ts";
import { DnsServer } from "./dns/dns_server.ts";
import { Pins } from "./dns/pins.ts";
import type { FlowEnd, FlowRequest, GuestLink } from "./flow.ts";
import type { FlowCore } from "./flows/core.ts";
import { dialledEnds } from "./flows/dial.ts";
import { EchoFlows } from "./flows/echo_flows.ts";
import { FlowLog, type FlowSink } from "./flows/flow_log.ts";
import { Judge } from "./flows/judge.ts";
import { ownAddresses } from "./flows/own_addresses.ts";
import { rateLimitsOf } from "./flows/rate_limit.ts";
import { TcpFlows } from "./flows/tcp_flows.ts";
import { UdpFlows } from "./flows/udp_flows.ts";
import type { Interceptor } from "./interceptor.ts";
import { DNS_PORT, type OwnAddresses } from "./policy/policy.ts";

/** How long a sandbox that must end waits for its flow log. */
const LAST_ENTRIES_MS = 500;

/** What a sandbox's way out is made with. */
export interface EgressOptions {
  readonly link: GuestLink;
  /** Checked already. */
  readonly config: EgressConfig;
  /** Reads the connections that it wants. If absent, none are read. */
  readonly interceptor?: Interceptor | undefined;
  /** Takes the flow log. */
  readonly flowSink?: FlowSink | undefined;
  /** Ends the sandbox; the interceptor asks for it. */
  readonly onTerminate?: ((reason: string) => void) | undefined;
  /** Where an address is really dialled: a test's servers listen on loopback. */
  readonly route?: ((destination: FlowEnd) => FlowEnd) | undefined;
  /** This machine's own addresses. @default those of its network interfaces */
  readonly ownAddresses?: OwnAddresses | undefined;
  readonly clock?: Clock | undefined;
  /** Whether its connections leave the process free to end. @default {false} */
  readonly isBackground?: boolean | undefined;
}

/**
 * The way out of one sandbox. Each request of the guest's is decided by the rules and by the names that this sandbox
 * resolved, connected to the address that was asked for, and carried. DNS is answered here.
 *
 * @example
 * ```text
 * const egress = new Egress({ link, config });
 * egress.update({ ...config, policy: policyFromLists({ allow: ["packages.example"] }, "network") });
 * await link.closed;
 * await egress.close();
 * ```
 */
export class Egress {
  readonly #core: FlowCore;
  readonly #pins: Pins;
  readonly #ownAddresses: OwnAddresses;
  readonly #dns: DnsServer;
  readonly #tcp: TcpFlows;
  readonly #udp: UdpFlows;
  readonly #echo: EchoFlows;
  readonly #going = new Set<Promise<void>>();
  #isClosed = false;

  /** Answers the link's requests from now on. */
  constructor(options: EgressOptions) {
    const { link, config, interceptor, flowSink, onTerminate, route, isBackground = false } = options;
    const { clock = isBackground ? backgroundClock : systemClock } = options;
    this.#ownAddresses = options.ownAddresses ?? ownAddresses(clock);
    this.#pins = new Pins(clock);
    const log = new FlowLog(flowSink);
    this.#core = {
      link,
      log,
      clock,
      interceptor,
      judge: new Judge(config, this.#pins, this.#ownAddresses),
      limits: rateLimitsOf(config.rateLimiter, clock),
      maxConnections: config.maxConnections,
      dialledEnds: route === undefined ? dialledEnds : (destination) => [route(destination)],
      terminate: async (reason) => {
        await settlesWithin(log.flushed(), LAST_ENTRIES_MS); // why it ends is in the log then
        onTerminate?.(reason);
      },
      isBackground,
    };
    this.#dns = new DnsServer(this.#core, config.dns, this.#pins);
    this.#tcp = new TcpFlows(this.#core);
    this.#udp = new UdpFlows(this.#core);
    this.#echo = new EchoFlows(this.#core);
    link.onRequest = (request) => this.#take(request);
  }

  /** How many flows are open or being opened. */
  get flows(): { readonly tcp: number; readonly udp: number; readonly dns: number } {
    return { tcp: this.#tcp.size, udp: this.#udp.size, dns: this.#dns.size };
  }

  /**
   * Decides by another configuration from now on. Open flows that it does not allow end with a reset.
   *
   * @param interceptor Needed if there was none, and connections must be read from now on.
   */
  update(config: EgressConfig, interceptor?: Interceptor): void {
    this.#core.judge = new Judge(config, this.#pins, this.#ownAddresses);
    this.#core.limits = rateLimitsOf(config.rateLimiter, this.#core.clock);
    this.#core.maxConnections = config.maxConnections;
    this.#dns.update(config.dns);
    if (this.#core.interceptor === undefined) this.#core.interceptor = interceptor;
    else this.#core.interceptor.update(config);
    this.#tcp.recheck();
    this.#udp.recheck();
  }

  /** Ends all flows, and refuses new ones. Resolves when all is released and the flow log is written. Does not close the link. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#dns.close();
    this.#tcp.close();
    this.#udp.close();
    this.#echo.close();
    await Promise.all(this.#going);
    await this.#core.log.flushed();
  }

  #take(request: FlowRequest): void {
    if (this.#isClosed) return this.#core.link.refuse(request, "unreachable");
    const going = this.#carry(request)
      .catch(() => this.#core.link.refuse(request, "refused")) // a fault here must not leave the guest waiting
      .finally(() => this.#going.delete(going));
    this.#going.add(going);
  }

  async #carry(request: FlowRequest): Promise<void> {
    if (request.protocol === "icmp") return await this.#echo.open(request);
    if (request.destination.port === DNS_PORT)
      return await (request.protocol === "udp" ? this.#dns.openUdp(request) : this.#dns.openTcp(request));
    return await (request.protocol === "udp" ? this.#udp.open(request) : this.#tcp.open(request));
  }
}
