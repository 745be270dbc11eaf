/**
 * One TCP connection made in the guest, seen from outside: its two directions with their windows, and how it ended.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { InputChannel, OutputChannel } from "./channels.ts";
import { encodeMessage } from "./codec.ts";
import { ConnectFailedError, ProtocolError } from "./errors.ts";
import { FrameFlag, type Message } from "./protocol.ts";

/** Where to connect to, seen from the guest. */
export interface TcpTarget {
  readonly port: number;
  /** An IPv4 or IPv6 address; `""` is the guest's loopback, first by IPv4, then by IPv6. */
  readonly host: string;
  readonly timeoutMs: number;
}

/** Takes frames to the guest. */
export interface FrameSink {
  send(frame: Bytes): void;
  /** Resolves when what was sent is on its way, or never will be. */
  drained(): Promise<void>;
}

/** One TCP stream of the guest protocol. */
export class TcpSession {
  /** Rejects with {@linkcode ConnectFailedError} if there is no connection. */
  readonly connected: Promise<void>;
  /** Resolves when the stream number is free again, with what broke the connection if something did. Never rejects. */
  readonly finished: Promise<Error | undefined>;
  /** Resolves when no caller waits for it any more. */
  readonly released: Promise<unknown>;
  /** To the peer. To be written to once connected. */
  readonly input: InputChannel;
  /** From the peer. */
  readonly output: OutputChannel;
  readonly #stream: number;
  readonly #target: TcpTarget;
  readonly #sink: FrameSink;
  readonly #connected = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<Error | undefined>();
  #isConnected = false;
  #isOver = false;

  /** @param frameBytesMax What one frame to the peer carries at most. @default as much as a frame can */
  constructor(stream: number, target: TcpTarget, sink: FrameSink, frameBytesMax?: number) {
    this.#stream = stream;
    this.#target = target;
    this.#sink = sink;
    this.connected = this.#connected.promise;
    this.connected.catch(() => {}); // `finished` tells as well
    this.finished = this.#finished.promise;
    this.released = this.finished;
    const send = (frame: Bytes) => sink.send(frame);
    this.input = new InputChannel(stream, send, () => sink.drained(), frameBytesMax);
    this.output = new OutputChannel("stdout", stream, send);
  }

  /** Sends `tcpConnect`. */
  begin(): void {
    this.#sink.send(encodeMessage("tcpConnect", this.#stream, this.#target));
  }

  /** Breaks the connection off: the peer sees a reset. What has arrived here can still be read unless `error` is given. */
  abort(error?: Error): void {
    if (this.#isOver) return;
    this.#sink.send(encodeMessage("close", this.#stream, {}));
    this.disconnect(error ?? new ProtocolError("The connection was closed on this side"));
  }

  receive(message: Message): void {
    switch (message.name) {
      case "tcpConnected":
        this.#isConnected = true;
        return this.#connected.resolve();
      case "tcpFailed":
        return this.disconnect(this.#failure(message.fields.errno, message.fields.message));
      case "stdout":
        return this.output.receive(message.fields.data, (message.flags & FrameFlag.end) !== 0);
      case "credit":
        return this.input.addCredit(message.fields.bytes);
      case "stdinError":
        return this.input.broken(message.fields.errno);
      case "closed":
        return this.#finish(undefined);
      case "error":
        return this.disconnect(new ProtocolError(`The guest refused a frame: ${message.fields.message}`));
      default:
        throw new ProtocolError(`A ${message.name} on a TCP stream`);
    }
  }

  /** Ends everything that is still open with `error`. */
  disconnect(error: Error): void {
    this.#finish(error);
  }

  #failure(errno: number, reason: string): ConnectFailedError {
    const { host, port } = this.#target;
    return new ConnectFailedError(host, port, errno, reason, this.#isConnected ? "broken" : "refused");
  }

  #finish(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connected.reject(error ?? new ProtocolError("The guest closed the stream before it was connected"));
    this.input.finish();
    this.output.finish(error);
    this.#finished.resolve(error);
  }
}
