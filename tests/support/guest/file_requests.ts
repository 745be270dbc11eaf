/**
 * A file session of a real agent, spoken to in messages: requests may be crafted, and nothing is checked on the way.
 *
 * @module
 */
import { encodeFileMessage, FileMessageDecoder } from "../../../src/agent/file_codec.ts";
import type { FileMessage, FileMessageFields, FileMessageName } from "../../../src/agent/file_messages.ts";
import { MESSAGES } from "../../../src/agent/protocol.ts";
import { decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.ts";
import type { NativeAgent } from "./native_agent.ts";

const FINAL: ReadonlySet<FileMessageName> = new Set(["done", "failed", "attributes", "path"]);

/** One file session. */
export class FileRequests {
  readonly stream: number;
  readonly pid: number;
  readonly #agent: NativeAgent;
  readonly #decoder = new FileMessageDecoder();
  readonly #arrived: FileMessage[] = [];
  #nextId = 1;

  private constructor(agent: NativeAgent, stream: number, pid: number) {
    this.#agent = agent;
    this.stream = stream;
    this.pid = pid;
  }

  static async open(
    agent: NativeAgent,
    stream: number,
    { user = "", cwd = "/" }: { user?: string; cwd?: string } = {},
  ): Promise<FileRequests> {
    agent.send("filesOpen", stream, { user, cwd });
    const { pid } = (await agent.expect("execStarted", stream)).fields;
    return new FileRequests(agent, stream, pid);
  }

  /** Sends a request, or more of the request `id`; gives its id. */
  send<N extends FileMessageName>(name: N, fields: FileMessageFields<N>, id = this.#nextId++): number {
    this.#agent.stdin(this.stream, encodeFileMessage(name, id, fields));
    return id;
  }

  /** The next answer, giving credit for it; `undefined` once the session has ended. */
  async next(): Promise<FileMessage | undefined> {
    for (;;) {
      const arrived = this.#arrived.shift();
      if (arrived !== undefined) return arrived;
      const message = await this.#agent.next(this.stream);
      if (message.name === "closed") return undefined;
      if (message.name !== "stdout" || message.fields.data.length === 0) continue;
      const { data } = message.fields;
      this.#agent.send("credit", this.stream, { channel: MESSAGES.stdout.type, bytes: data.length });
      for (const answer of this.#decoder.feed(data)) this.#arrived.push(structuredClone(answer));
    }
  }

  /** The answers to the request that was sent last, up to the final one. */
  async answers(): Promise<FileMessage[]> {
    const answers: FileMessage[] = [];
    for (;;) {
      const answer = await this.next();
      if (answer === undefined) throw new Error("the session ended before the final answer");
      answers.push(answer);
      if (FINAL.has(answer.name)) return answers;
    }
  }

  async call<N extends FileMessageName>(name: N, fields: FileMessageFields<N>): Promise<FileMessage[]> {
    this.send(name, fields);
    return await this.answers();
  }

  /** The errno of a call that fails, 0 of one that does not. */
  async errno<N extends FileMessageName>(name: N, fields: FileMessageFields<N>): Promise<number> {
    const last = (await this.call(name, fields)).at(-1);
    return last?.name === "failed" ? last.fields.errno : 0;
  }
}

/** Bytes of a path. */
export function pathOf(path: string): Uint8Array {
  return encodeUtf8(path);
}

/** The content that answers carry, holes as zeros. */
export function contentOf(answers: readonly FileMessage[]): string {
  return answers
    .map((answer) =>
      answer.name === "data"
        ? decodeUtf8(answer.fields.data)
        : answer.name === "hole"
          ? "\0".repeat(answer.fields.size)
          : "",
    )
    .join("");
}
