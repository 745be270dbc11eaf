/**
 * A client's connection to the VM host process of one running sandbox.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { CallLimit } from "../base/wait.ts";
import type { ByteConnection } from "../platform/byte_connection.ts";
import { connectUnix } from "../platform/unix_socket.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import { acceptWelcome, type ConnectOptions, connectLimit } from "./connecting.ts";
import { EndReason, type ExplainEnd } from "./end_reason.ts";
import {
  AgentDisconnectedError,
  AgentHandshakeError,
  ConnectFailedError,
  FileSessionFailedError,
  ProtocolError,
} from "./errors.ts";
import {
  type DiskMountOpen,
  diskMountOpening,
  type ExecOpening,
  type ExecStart,
  execOpening,
  type FilesOpen,
  filesOpening,
  type MountOpen,
  mountOpening,
  type NetworkOpen,
  networkOpening,
} from "./exec_opening.ts";
import { ExecSession } from "./exec_session.ts";
import { FileSession } from "./file_session.ts";
import { FrameDecoder } from "./frame.ts";
import { HostQuestions } from "./host_questions.ts";
import { AgentJobs } from "./jobs.ts";
import { KeepAlive } from "./keep_alive.ts";
import { logSessionId } from "./log_session.ts";
import { Answers } from "./pending_answers.ts";
import { type Message, type MessageFields, SESSIONS_MAX, WireError } from "./protocol.ts";
import { TcpSession, type TcpTarget } from "./tcp_session.ts";

export type { ConnectOptions } from "./connecting.ts";

/** What leads to the VM host process of a sandbox. */
export interface Connector {
  connect(options?: ConnectOptions): Promise<AgentClient>;
}

/**
 * One connection, many exec sessions. It keeps the process alive only while something is under way on it.
 */
export class AgentClient extends HostQuestions {
  /** Resolves when the connection has ended: the VM host process is gone, or {@linkcode close} was called. */
  readonly closed: Promise<void>;
  /** What concerns programs that outlive their clients. */
  readonly jobs: AgentJobs;
  readonly #connection: ByteConnection;
  readonly #welcome: MessageFields<"welcome">;
  readonly #sessions = new Map<number, ExecSession | TcpSession>();
  /** One ping is under way at a time, and its answer is for all who wait. */
  readonly #pongs = new Answers<void>();
  #isPinging = false;
  #nextStream: number;
  #nextToken = 1;
  readonly #endReason: EndReason;
  readonly #keepAlive: KeepAlive;
  #isLeaving = false;
  #isClosed = false;

  /**
   * Connects to the VM host process that listens at `path`, a unix socket.
   *
   * @throws {IoError} if no process listens at `path`.
   * @throws {AgentHandshakeError} if its first message is not the expected welcome.
   * @throws {TimeoutError} if there is no welcome in time.
   * @throws {AbortedError} if the signal fires first.
   */
  static async connect(path: string, options: ConnectOptions = {}): Promise<AgentClient> {
    using limit = connectLimit(options);
    try {
      return await AgentClient.#greet(await connectUnix(path, limit.signal), limit, options.explainEnd);
    } catch (error) {
      throw limit.error ?? error;
    }
  }

  /**
   * A client over a connection that is open already. Destroys the connection if there is no welcome.
   *
   * @throws {AgentHandshakeError} if the first message is not the expected welcome.
   * @throws {TimeoutError} if there is no welcome in time.
   * @throws {AbortedError} if the signal fires first.
   */
  static async over(connection: ByteConnection, options: ConnectOptions = {}): Promise<AgentClient> {
    using limit = connectLimit(options);
    return await AgentClient.#greet(connection, limit, options.explainEnd);
  }

  static async #greet(
    connection: ByteConnection,
    limit: CallLimit,
    explainEnd: ExplainEnd | undefined,
  ): Promise<AgentClient> {
    try {
      return await limit.race(AgentClient.#greeted(connection, explainEnd));
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  static #greeted(connection: ByteConnection, explainEnd: ExplainEnd | undefined): Promise<AgentClient> {
    const decoder = new FrameDecoder();
    let client: AgentClient | undefined;
    return new Promise<AgentClient>((resolve, reject) => {
      connection.closed.then(() => reject(new AgentHandshakeError("The VM host process hung up")));
      connection.onData((chunk) => {
        try {
          for (const frame of decoder.feed(chunk)) {
            const message = decodeMessage(frame);
            if (client !== undefined) client.#receive(message);
            else {
              client = new AgentClient(connection, acceptWelcome(message), explainEnd);
              resolve(client);
            }
          }
        } catch (error) {
          reject(error);
          connection.destroy();
        }
      });
    });
  }

  private constructor(
    connection: ByteConnection,
    welcome: MessageFields<"welcome">,
    explainEnd: ExplainEnd | undefined,
  ) {
    super();
    this.#connection = connection;
    this.#keepAlive = new KeepAlive(connection, () => {
      if (this.#isLeaving) this.closeWhenIdle();
    });
    this.#endReason = new EndReason(explainEnd);
    this.#welcome = welcome;
    this.#nextStream = welcome.firstStream;
    this.jobs = new AgentJobs({
      takeStream: (opening) => this.#takeStream(opening),
      open: (opening, stream, sessionId) => this.#startProcess(opening, stream, sessionId),
      ask: (answer, question) => this.answered(answer, question),
      send: (frame) => connection.send(frame),
    });
    connection.setReferenced(false);
    this.closed = connection.closed.then(() => this.#end());
  }

  /** The sandbox at the other end. */
  get sandboxId(): string {
    return this.#welcome.sandboxId;
  }

  get bootNumber(): number {
    return this.#welcome.bootNumber;
  }

  /** Whether the sandbox said that its state on disk is final, and if so, that its file system is clean. */
  get stopped(): { readonly clean: boolean } | undefined {
    return this.#endReason.stopped;
  }

  /**
   * Whether its stream numbers are used up, but for one for each of those who may have it in their hands: more than the
   * guest takes at a time.
   */
  get isUsedUp(): boolean {
    return this.#nextStream + SESSIONS_MAX > this.#welcome.lastStream;
  }

  /** Starts a program. @throws {ExecFailedError} if this connection has no stream numbers left. */
  startExec(start: ExecStart): ExecSession {
    return this.#startProcess(execOpening(start));
  }

  /** Opens a file session. @throws {FileSessionFailedError} if this connection has no stream numbers left. */
  openFiles(open: FilesOpen): FileSession {
    return new FileSession(this.#startProcess(filesOpening(open)), () => this.#isStopping(open));
  }

  /** Whether the guest refuses new programs because the sandbox is about to end. */
  async #isStopping(open: FilesOpen): Promise<boolean> {
    try {
      const probe = this.#startProcess(filesOpening(open));
      await probe.started;
      probe.close();
      return false;
    } catch (error) {
      const isRefused = error instanceof FileSessionFailedError && error.kind === "shuttingDown";
      return isRefused || error instanceof AgentDisconnectedError;
    }
  }

  /** Mounts in the guest; see `serveMount()`. The session's `started` rejects with {@linkcode MountFailedError}. */
  openMount(open: MountOpen): ExecSession {
    return this.#startProcess(mountOpening(open));
  }

  /** Mounts a disk of the VM. The session's `started` rejects with {@linkcode MountFailedError}; it ends by itself. */
  openDiskMount(open: DiskMountOpen): ExecSession {
    return this.#startProcess(diskMountOpening(open));
  }

  /**
   * Gives the guest a network whose flows are asked for on the stream; see `AgentGuestLink`. The session's `started` rejects with
   * {@linkcode MicrosandboxError} of code `network`.
   */
  openNetwork(open: NetworkOpen): ExecSession {
    return this.#startProcess(networkOpening(open));
  }

  /** Makes a TCP connection in the guest. @throws {ConnectFailedError} if this connection has no stream numbers left. */
  connectTcp(target: TcpTarget): TcpSession {
    if (this.#nextStream > this.#welcome.lastStream) {
      const reason = "this connection to the sandbox is used up";
      throw new ConnectFailedError(target.host, target.port, 0, reason, "refused");
    }
    const stream = this.#nextStream++;
    return this.#begin(stream, new TcpSession(stream, target, this.#connection));
  }

  /** Asks the guest's agent for a sign of life; resolves with the milliseconds it took. */
  async ping(timeoutMs = 10_000): Promise<number> {
    const begin = performance.now();
    const token = this.#nextToken++;
    const answer = this.#pongs.wait(token, "waiting for the guest's agent to answer a ping", timeoutMs);
    // The answer to an earlier ping is a sign of life from now on, too.
    if (this.#isPinging) await this.holding(answer);
    else {
      this.#isPinging = true;
      await this.answered(answer, encodeMessage("ping", 0, { token }));
    }
    return performance.now() - begin;
  }

  /** Asks for the stop sequence; {@linkcode closed} tells when the VM is gone. */
  requestStop(graceMs: number): void {
    this.#connection.send(encodeMessage("stop", 0, { graceMs }));
  }

  /** Asks for the VM to be killed. */
  requestKill(): void {
    this.#connection.send(encodeMessage("kill", 0, {}));
  }

  /** Keeps the process alive until `promise` settles. */
  async holding<T>(promise: Promise<T>): Promise<T> {
    this.#keepAlive.hold();
    try {
      return await promise;
    } finally {
      this.#keepAlive.release();
    }
  }

  /** Ends the connection; sessions that are not detached are killed by the host. */
  close(): void {
    this.#endReason.isClosedHere = true;
    this.#connection.destroy();
  }

  /** Ends the connection once nothing is under way on it any more. A caller that has just obtained it may still begin a call. */
  closeWhenIdle(): void {
    this.#isLeaving = true;
    setTimeout(() => {
      if (this.#keepAlive.isIdle) this.close();
    });
  }

  #takeStream(opening: ExecOpening): number {
    if (this.#nextStream <= this.#welcome.lastStream) return this.#nextStream++;
    throw opening.failure("tooManySessions", 0, "this connection is used up");
  }

  #startProcess(
    opening: ExecOpening,
    stream: number = this.#takeStream(opening),
    sessionId: number = logSessionId(this.#welcome.bootNumber, stream),
  ): ExecSession {
    const holding = <T>(promise: Promise<T>) => this.holding(promise);
    const session = new ExecSession(stream, sessionId, opening, this.#connection, holding);
    const leave = () => this.#keepAlive.leaveUnattended(session.released);
    // One that never started is released as any other.
    if (opening.isUnattended) session.started.then(leave).catch(() => {});
    return this.#begin(stream, session);
  }

  #begin<T extends ExecSession | TcpSession>(stream: number, session: T): T {
    this.#sessions.set(stream, session);
    this.#keepAlive.hold();
    session.finished.then(() => this.#sessions.delete(stream));
    session.released.then(() => this.#keepAlive.release());
    session.begin();
    if (this.#isClosed) this.#disconnected();
    return session;
  }

  protected override answered<T>(answer: Promise<T>, question: Bytes): Promise<T> {
    this.#connection.send(question);
    if (this.#isClosed) this.#disconnected();
    return this.holding(answer);
  }

  #receive(message: Message | undefined): void {
    if (message === undefined) return; // a later version may say more
    if (message.stream !== 0) {
      this.#sessions.get(message.stream)?.receive(message);
    } else if (message.name === "pong") {
      this.#isPinging = false;
      this.#pongs.resolveAll();
    } else if (message.name === "jobAnswer") {
      this.jobs.receive(message.fields);
    } else if (message.name === "stopped") {
      this.#endReason.stopped = { clean: message.fields.clean === 1 };
    } else if (message.name === "error" && message.fields.code === WireError.crashed) {
      this.#endReason.crashReason = message.fields.message;
    } else if (message.name === "error") {
      throw new ProtocolError(`The VM host process refused a frame: ${message.fields.message}`);
    } else {
      this.receiveAnswer(message);
    }
  }

  async #end(): Promise<void> {
    this.#isClosed = true;
    if (this.#sessions.size > 0) await this.#endReason.find();
    this.#disconnected();
  }

  #disconnected(): void {
    const reason = this.#endReason.text;
    for (const session of [...this.#sessions.values()])
      session.disconnect(new AgentDisconnectedError(reason));
    this.#pongs.rejectAll(new AgentDisconnectedError(reason));
    this.rejectAnswers(new AgentDisconnectedError(reason));
    this.jobs.disconnect(new AgentDisconnectedError(reason));
  }
}
