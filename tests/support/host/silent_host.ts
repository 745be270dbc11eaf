/**
 * A VM host process that hangs, as its clients see it: it takes connections and what they send, and answers nothing.
 *
 * @module
 */
import { join } from "node:path";
import { AgentClient, type ConnectOptions, type Connector } from "../../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import { type MessageFields, PROTOCOL_VERSION } from "../../../src/agent/protocol.ts";
import type { UnixConnection, UnixListener } from "../../../src/platform/unix_connection.ts";
import { listenUnix } from "../../../src/platform/unix_socket.ts";
import { temporaryDirectory } from "../harness.ts";

/** What one greets with that hangs from then on. */
const WELCOME: MessageFields<"welcome"> = {
  version: PROTOCOL_VERSION,
  features: 0,
  firstStream: 1,
  lastStream: 1_000,
  bootNumber: 1,
  sandboxId: "test",
};

export class SilentHost implements Connector, AsyncDisposable {
  readonly path: string;
  /** The names of the messages that clients sent, in order. */
  readonly heard: string[] = [];
  readonly connections: UnixConnection[] = [];
  readonly #directory = temporaryDirectory();
  readonly #clients: AgentClient[] = [];
  #listener: UnixListener | undefined;
  #wake: () => void = () => {};

  /** With `welcome: "none"` it does not even greet. */
  static async listen({
    welcome = {},
  }: {
    readonly welcome?: Partial<MessageFields<"welcome">> | "none";
  } = {}): Promise<SilentHost> {
    const host = new SilentHost();
    host.#listener = await listenUnix(host.path, (connection) => {
      host.connections.push(connection);
      if (welcome !== "none") connection.send(encodeMessage("welcome", 0, { ...WELCOME, ...welcome }));
      host.#listen(connection);
    });
    return host;
  }

  private constructor() {
    this.path = join(this.#directory.path, "relay.sock");
  }

  async connect(options?: ConnectOptions): Promise<AgentClient> {
    const client = await AgentClient.connect(this.path, options);
    this.#clients.push(client);
    return client;
  }

  /** Resolves when so many messages were heard. */
  async hears(count: number): Promise<void> {
    while (this.heard.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #listen(connection: UnixConnection): void {
    const decoder = new FrameDecoder();
    connection.onData((chunk) => {
      for (const frame of decoder.feed(chunk)) this.heard.push(decodeMessage(frame)?.name ?? "unknown");
      this.#wake();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const connection of this.connections) connection.destroy();
    await this.#listener?.close();
    this.#directory[Symbol.dispose]();
  }
}
