/**
 * The ports that a sandbox publishes. Most sandboxes have none, and what serves them takes long to load: that is done for
 * the first of them.
 *
 * @module
 */
import type { Frame } from "../../agent/frame.ts";
import { PortAction, PortFailure } from "../../agent/port_codes.ts";
import type { MessageFields } from "../../agent/protocol.ts";
import { messageOf } from "../../base/errors.ts";
import type { PublishedPort } from "../../network/published_port.ts";
import type { Activity } from "../host/activity.ts";
import type { AgentLink } from "../host/agent_link.ts";
import type { NetworkStreams } from "./guest_streams.ts";
import type { PublishedPorts } from "./published_ports.ts";

export class NetworkService {
  readonly #activity: Activity;
  #loading: Promise<PublishedPorts> | undefined;
  #link: AgentLink | undefined;
  #streams: NetworkStreams | undefined;
  #isClosed = false;

  /** `activity` is told of connections. */
  constructor(activity: Activity) {
    this.#activity = activity;
  }

  /** Listens at all of `ports`, or at none; see `PublishedPorts.open()`. */
  async open(ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length > 0) await (await this.#ports()).open(ports);
  }

  /** The guest answers: connections go there from now on. */
  async serve(link: AgentLink): Promise<void> {
    this.#link = link;
    if (this.#loading !== undefined) await this.#connect(await this.#loading, link);
  }

  /** Takes a frame of a stream that was opened for a connection by a port. */
  receive(frame: Frame): void {
    this.#streams?.receive(frame);
  }

  /** Does what a client asks for. Never rejects. */
  async control(request: MessageFields<"ports">): Promise<MessageFields<"published">> {
    const hasNone = this.#loading === undefined && request.action === PortAction.list;
    if (hasNone) return { token: request.token, failure: PortFailure.none, message: "", ports: [] };
    try {
      return await (await this.#ports()).control(request);
    } catch (error) {
      return { token: request.token, failure: PortFailure.other, message: messageOf(error), ports: [] };
    }
  }

  /** Stops listening at all of them. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const ports = await this.#loading?.catch(() => undefined);
    ports?.close();
  }

  #ports(): Promise<PublishedPorts> {
    if (this.#loading === undefined) {
      this.#loading = this.#load();
      this.#loading.catch(() => {
        this.#loading = undefined; // it may be there another time
      });
    }
    return this.#loading;
  }

  async #load(): Promise<PublishedPorts> {
    const { PublishedPorts } = await import("./published_ports.ts");
    const ports = new PublishedPorts();
    if (this.#isClosed) ports.close();
    if (this.#link !== undefined) await this.#connect(ports, this.#link);
    return ports;
  }

  async #connect(ports: PublishedPorts, link: AgentLink): Promise<void> {
    const { NetworkStreams } = await import("./guest_streams.ts");
    this.#streams ??= new NetworkStreams(link, this.#activity);
    ports.serve(this.#streams);
  }
}
