/**
 * A client of a relay that sends what it likes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { decodeMessage } from "../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import type { Message } from "../../../src/agent/protocol.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import { connectUnix } from "../../../src/platform/unix_socket.ts";

export class RawClient implements Disposable {
  readonly connection: UnixConnection;
  readonly #messages: Message[] = [];
  #changed = Promise.withResolvers<void>();

  static async connect(path: string): Promise<RawClient> {
    return new RawClient(await connectUnix(path));
  }

  private constructor(connection: UnixConnection) {
    this.connection = connection;
    const decoder = new FrameDecoder();
    connection.onData((chunk) => {
      for (const frame of decoder.feed(chunk)) {
        const message = decodeMessage({ ...frame, payload: frame.payload.slice() });
        if (message !== undefined) this.#messages.push(message);
      }
      this.#changed.resolve();
      this.#changed = Promise.withResolvers<void>();
    });
  }

  /** The next message from the relay. */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      await this.#changed.promise;
    }
  }

  async welcome(): Promise<Extract<Message, { name: "welcome" }>["fields"]> {
    const message = await this.next();
    assert(message.name === "welcome", `got ${message.name}`);
    return message.fields;
  }

  [Symbol.dispose](): void {
    this.connection.destroy();
  }
}
