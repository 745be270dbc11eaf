/**
 * A guest that answers file sessions as a test likes, over a connection in memory.
 *
 * @module
 */
import { AgentClient } from "../../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../../src/agent/codec.ts";
import { encodeFileMessage, FileMessageDecoder } from "../../../src/agent/file_codec.ts";
import type { FileMessage, FileMessageFields, FileMessageName } from "../../../src/agent/file_messages.ts";
import { encodeFrame, FrameDecoder } from "../../../src/agent/frame.ts";
import {
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  MESSAGES,
  type MessageFields,
  PROTOCOL_VERSION,
  STREAM_WINDOW_BYTES,
} from "../../../src/agent/protocol.ts";
import { MemoryConnection } from "../memory_connection.ts";

const WELCOME = {
  version: PROTOCOL_VERSION,
  features: 0,
  firstStream: 1,
  lastStream: 1_000_000,
  bootNumber: 1,
  sandboxId: "fake-files",
};

/** Attributes of a regular file of no size, and what is given. */
export function attributes(
  given: Partial<FileMessageFields<"attributes">> = {},
): FileMessageFields<"attributes"> {
  return {
    kind: 1,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    allocated: 0,
    links: 1,
    device: 1n,
    inode: 1n,
    special: 0n,
    accessedNs: 0n,
    modifiedNs: 0n,
    changedNs: 0n,
    createdNs: 0n,
    ...given,
  };
}

/** Called for each request, and for what follows a `writeOpen`. */
export type HandleRequest = (session: FakeFileSession, request: FileMessage) => void;

export class FakeFileGuest {
  readonly connection: MemoryConnection;
  readonly client: AgentClient;
  /** All sessions that were opened, the oldest first. */
  readonly sessions: FakeFileSession[] = [];
  /** Set to have the next sessions fail instead. */
  refusal: MessageFields<"execFailed"> | undefined;
  handle: HandleRequest;

  static async start(handle: HandleRequest): Promise<FakeFileGuest> {
    const [near, far] = MemoryConnection.pair();
    far.send(encodeMessage("welcome", 0, WELCOME));
    return new FakeFileGuest(far, await AgentClient.over(near), handle);
  }

  private constructor(connection: MemoryConnection, client: AgentClient, handle: HandleRequest) {
    this.connection = connection;
    this.client = client;
    this.handle = handle;
    const decoder = new FrameDecoder();
    connection.onData((chunk) => {
      for (const frame of decoder.feed(chunk)) {
        const message = decodeMessage(frame);
        if (message?.name === "filesOpen") this.#open(message.stream, message.fields);
        else if (message !== undefined && message.stream !== 0)
          this.sessions.find(({ stream }) => stream === message.stream)?.receive(message);
      }
    });
  }

  #open(stream: number, opened: MessageFields<"filesOpen">): void {
    const session = new FakeFileSession(this, stream, opened);
    this.sessions.push(session);
    if (this.refusal === undefined) this.connection.send(encodeMessage("execStarted", stream, { pid: 7 }));
    else session.refuse(this.refusal);
  }
}

/** One session, at the guest's end. */
export class FakeFileSession {
  readonly stream: number;
  readonly opened: MessageFields<"filesOpen">;
  /** What the client may be sent. */
  creditBytes = STREAM_WINDOW_BYTES;
  /** Whether the client has closed it. */
  isClosed = false;
  /** Requests are read, and credit for them is given. */
  isReading = true;
  readonly #guest: FakeFileGuest;
  readonly #decoder = new FileMessageDecoder();
  #waiting: Uint8Array[] = [];
  #unread: Uint8Array[] = [];

  constructor(guest: FakeFileGuest, stream: number, opened: MessageFields<"filesOpen">) {
    this.#guest = guest;
    this.stream = stream;
    this.opened = opened;
  }

  /** Sends an answer, as far as there is credit; the rest when there is. */
  answer<N extends FileMessageName>(name: N, id: number, fields: FileMessageFields<N>): void {
    this.sendBytes(encodeFileMessage(name, id, fields));
  }

  sendBytes(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#waiting.push(bytes);
    this.#flush();
  }

  /** How many bytes of answers wait for credit. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { length }) => sum + length, 0);
  }

  /** Sends output without regard to the window. */
  overrun(bytes: Uint8Array, flags = 0): void {
    const { stream } = this;
    this.#guest.connection.send(encodeFrame({ stream, type: MESSAGES.stdout.type, flags, payload: bytes }));
  }

  /** Ends as a child that exits does. */
  exit(code: number, signal = 0): void {
    this.overrun(new Uint8Array(0), FrameFlag.end);
    this.#send("exited", { code, signal });
    this.#send("settled", {});
    this.#send("closed", {});
  }

  refuse(reason: MessageFields<"execFailed">): void {
    this.#send("execFailed", reason);
    this.#send("closed", {});
  }

  /** Says that it reads no more requests. */
  breakInput(errno: number): void {
    this.#send("stdinError", { errno });
  }

  /** Goes on reading. */
  resume(): void {
    this.isReading = true;
    for (const data of this.#unread.splice(0)) this.#read(data);
  }

  /** Called with each frame of its stream. */
  receive(message: NonNullable<ReturnType<typeof decodeMessage>>): void {
    if (message.name === "stdin" && this.isReading) this.#read(message.fields.data);
    else if (message.name === "stdin") this.#unread.push(message.fields.data.slice());
    else if (message.name === "credit") {
      this.creditBytes += message.fields.bytes;
      this.#flush();
    } else if (message.name === "close" && !this.isClosed) {
      this.isClosed = true;
      this.exit(0, 9);
    }
  }

  #read(data: Uint8Array): void {
    for (const request of this.#decoder.feed(data)) this.#guest.handle(this, request);
    if (data.length > 0) this.#send("credit", { channel: MESSAGES.stdin.type, bytes: data.length });
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.creditBytes > 0) {
      const [first] = this.#waiting as [Uint8Array];
      const size = Math.min(first.length, this.creditBytes, FRAME_PAYLOAD_BYTES_MAX);
      this.creditBytes -= size;
      this.overrun(first.subarray(0, size));
      if (size < first.length) this.#waiting[0] = first.subarray(size);
      else this.#waiting.shift();
    }
  }

  #send<N extends "credit" | "exited" | "settled" | "closed" | "execFailed" | "stdinError">(
    name: N,
    fields: MessageFields<N>,
  ): void {
    this.#guest.connection.send(encodeMessage(name, this.stream, fields));
  }
}
