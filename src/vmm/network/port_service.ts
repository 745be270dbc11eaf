/**
 * Serves the ports that a sandbox publishes. Most sandboxes have none, and the modules that serve them take long to load,
 * so they are loaded for the first port.
 *
 * @module
 */
import type { Frame } from "../../agent/frame.ts";
import { PortAction, PortFailure } from "../../agent/port_codes.ts";
import type { MessageFields } from "../../agent/protocol.ts";
import type { FrameSink } from "../../agent/tcp_session.ts";
import type { DatagramSink } from "../../agent/udp_session.ts";
import { messageOf } from "../../base/errors.ts";
import type { PublishedPort } from "../../network/published_port.ts";
import type { NetworkStreams, Touchable } from "./guest_streams.ts";
import type { PublishedPorts } from "./published_ports.ts";

/** Takes the frames of connections to the guest. */
export type GuestSink = FrameSink & DatagramSink;

export class NetworkService implements AsyncDisposable {
  #loading: Promise<PublishedPorts> | undefined;
  #guest: { readonly sink: GuestSink; readonly activity: Touchable } | undefined;
  #streams: NetworkStreams | undefined;
  #isClosed = false;

  /** Listens at all of `ports`, or at none; see `PublishedPorts.open()`. */
  async open(ports: readonly PublishedPort[]): Promise<void> {
    if (ports.length > 0) await (await this.#ports()).open(ports);
  }

  /** Sends connections to the guest from now on. Each use of one touches `activity`. */
  async serve(sink: GuestSink, activity: Touchable): Promise<void> {
    this.#guest = { sink, activity };
    if (this.#loading !== undefined) await this.#connect(await this.#loading, sink, activity);
  }

  /** Takes a frame of a stream that was opened for a connection by a port. */
  receive(frame: Frame): void {
    this.#streams?.receive(frame);
  }

  /** Lists, adds or removes ports as a client asks. Never rejects. */
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #ports(): Promise<PublishedPorts> {
    if (this.#loading === undefined) {
      this.#loading = this.#load();
      this.#loading.catch(() => {
        this.#loading = undefined; // the next request tries again
      });
    }
    return this.#loading;
  }

  async #load(): Promise<PublishedPorts> {
    const { PublishedPorts } = await import("./published_ports.ts");
    const ports = new PublishedPorts();
    if (this.#isClosed) ports.close();
    if (this.#guest !== undefined) await this.#connect(ports, this.#guest.sink, this.#guest.activity);
    return ports;
  }

  async #connect(ports: PublishedPorts, sink: GuestSink, activity: Touchable): Promise<void> {
    const { NetworkStreams } = await import("./guest_streams.ts");
    this.#streams ??= new NetworkStreams(sink, activity);
    ports.serve(this.#streams);
  }
}
