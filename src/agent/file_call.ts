/**
 * One request of a file session and its answers.
 *
 * @module
 */
import { FileAnswerError, ProtocolError } from "./errors.ts";
import type { FileMessage, FileMessageFields, FileMessageName } from "./file_messages.ts";

/** A message that asks for something. */
export type FileRequestName = keyof typeof ANSWERS;
/** A message that goes on with `writeOpen`. */
export type FileContinuationName = "writeData" | "writeHole" | "writeEnd";

/** What may answer each request, besides `failed`; the last one is final. */
const ANSWERS = {
  read: ["opened", "data", "done"],
  write: ["done"],
  writeOpen: ["opened", "done"],
  stat: ["attributes"],
  access: ["done"],
  list: ["entry", "done"],
  walk: ["entry", "data", "hole", "unread", "done"],
  mkdir: ["done"],
  remove: ["done"],
  rename: ["done"],
  copy: ["done"],
  symlink: ["done"],
  link: ["done"],
  readLink: ["path"],
  realPath: ["path"],
  chmod: ["done"],
  chown: ["done"],
  utimes: ["done"],
  truncate: ["done"],
  makeTemp: ["path"],
  watch: ["opened", "change", "done"],
} as const satisfies Partial<Record<FileMessageName, readonly FileMessageName[]>>;

/** These come first, or never. */
const FIRST: readonly FileMessageName[] = ["opened"];

type Send = <N extends FileContinuationName>(name: N, fields: FileMessageFields<N>) => Promise<boolean>;

/** Keeps this process alive until a promise settles. */
export type Holding = <T>(promise: Promise<T>) => Promise<T>;

/** A request that was sent. Made by `FileSession.call`. It keeps this process alive while a caller waits, and not between. */
export class FileCall {
  /** For a caller that waits for the outcome of this call without its methods. */
  readonly holding: Holding;
  /** Resolves when the last answer is here, or none will come. Never rejects. */
  readonly ended: Promise<void>;
  readonly #name: FileRequestName;
  readonly #allowed: readonly FileMessageName[];
  readonly #send: Send;
  /** How many more bytes of content it may have. */
  #contentBytesLeft: number;
  readonly #ended = Promise.withResolvers<void>();
  /** An answer that waits to be taken. */
  #answer: FileMessage | undefined;
  #answerCount = 0;
  /** The caller that waits for the next one. */
  #waiting: PromiseWithResolvers<FileMessage | undefined> | undefined;
  /** Resolves when the caller is done with the last answer that it was given. */
  #taken: PromiseWithResolvers<void> | undefined;
  #error: Error | undefined;
  #isOver = false;
  #isDiscarded = false;

  constructor(name: FileRequestName, contentBytesMax: number, send: Send, holding: Holding) {
    this.holding = holding;
    this.#name = name;
    this.#allowed = ANSWERS[name];
    this.#send = send;
    this.#contentBytesLeft = contentBytesMax;
    this.ended = this.#ended.promise;
  }

  /** Whether no further answer comes. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * The next answer, in order; `undefined` after the final one. Bytes in it are views that are valid until the next call of
   * this: copy what is kept. Those of a final answer stay.
   *
   * @throws {FileAnswerError} if the request failed.
   * @throws why the session ended: {@linkcode FileSessionFailedError}, {@linkcode AgentDisconnectedError},
   * {@linkcode ProtocolError}, or what `FileSession.close()` was given.
   *
   * @param isHeld Whether the wait keeps this process alive.
   */
  next(isHeld = true): Promise<FileMessage | undefined> {
    const answer = this.#answer;
    if (answer !== undefined) {
      this.#answer = undefined;
      return Promise.resolve(answer);
    }
    this.#release();
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#isOver) return Promise.resolve(undefined);
    if (this.#waiting !== undefined) throw new TypeError("an answer is being waited for already");
    this.#waiting = Promise.withResolvers();
    return isHeld ? this.holding(this.#waiting.promise) : this.#waiting.promise;
  }

  /** The final answer; others before it are dropped. @throws what {@linkcode next} throws. */
  async result(isHeld = true): Promise<FileMessage> {
    let last: FileMessage | undefined;
    for (let answer = await this.next(isHeld); answer !== undefined; answer = await this.next(isHeld))
      last = answer;
    if (last === undefined) throw new TypeError("the final answer was taken already");
    return last;
  }

  /** Sends more of a `writeOpen`; resolves when it is on its way, with false if the guest takes no more. */
  async send<N extends FileContinuationName>(name: N, fields: FileMessageFields<N>): Promise<boolean> {
    return !this.#isOver && (await this.holding(this.#send(name, fields)));
  }

  /** No caller takes the answers any more: they are dropped as they come, and hold up no other call. */
  discard(): void {
    this.#isDiscarded = true;
    this.#answer = undefined;
    this.#waiting?.resolve(undefined);
    this.#waiting = undefined;
    this.#release();
  }

  /**
   * Takes an answer of the guest. Resolves once the caller is done with it.
   *
   * @throws {ProtocolError} if the request has no such answer.
   *
   * @internal
   */
  give(message: FileMessage): Promise<void> | undefined {
    this.#check(message);
    this.#answerCount++;
    if (message.name === "failed") {
      this.#over(new FileAnswerError(message.fields.errno, message.fields.path.slice()));
      return undefined;
    }
    const isFinal = message.name === this.#allowed.at(-1);
    this.#hand(isFinal ? kept(message) : message);
    if (isFinal) this.#over(undefined);
    if (isFinal || this.#isDiscarded) return undefined;
    this.#taken = Promise.withResolvers();
    return this.#taken.promise;
  }

  /** No more answers come. @internal */
  fail(error: Error): void {
    this.#over(error);
  }

  #check(message: FileMessage): void {
    const { name } = message;
    const isKnown = name === "failed" || this.#allowed.includes(name);
    if (!isKnown || (FIRST.includes(name) && this.#answerCount > 0))
      throw new ProtocolError(`The guest answered ${this.#name} with ${name}`);
    if (message.name !== "data") return;
    this.#contentBytesLeft -= message.fields.data.length;
    if (this.#contentBytesLeft < 0)
      throw new ProtocolError(`The guest answered ${this.#name} with more than it was asked for`);
  }

  #hand(answer: FileMessage): void {
    if (this.#isDiscarded) return;
    if (this.#waiting === undefined) this.#answer = answer;
    else this.#waiting.resolve(answer);
    this.#waiting = undefined;
  }

  #over(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    if (error === undefined) this.#waiting?.resolve(undefined);
    else this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#release();
    this.#ended.resolve();
  }

  #release(): void {
    this.#taken?.resolve();
    this.#taken = undefined;
  }
}

/** An answer that outlives the next one: `path` is the only final one with bytes. */
function kept(answer: FileMessage): FileMessage {
  return answer.name === "path" ? { ...answer, fields: { path: answer.fields.path.slice() } } : answer;
}
