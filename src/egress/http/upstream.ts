/** The connection to a server, kept for as many requests as it serves. @module */
import { settlesWithin } from "../../base/wait.ts";
import { HttpProblem, upstreamProblem } from "./problem.ts";
import type { TunnelEnd } from "./tunnel.ts";

/** One connection with its reader. */
export interface UpstreamConnection extends TunnelEnd {
  /** Whether it has served a request: then the server may have closed it in the moment of the next. */
  readonly isReused: boolean;
}

/** Hands out the connection to a server, and opens another where it is used up. */
export class Upstream {
  readonly #open: () => Promise<TunnelEnd>;
  #current: TunnelEnd | undefined;
  #requests = 0;

  /** @param open Opens a connection; rejects with the system's error or an `HttpProblem`. */
  constructor(open: () => Promise<TunnelEnd>) {
    this.#open = open;
  }

  /** A connection on which nothing is going on. @throws {HttpProblem} 502 with the reason. */
  async connection(): Promise<UpstreamConnection> {
    // Bytes that no request asked for would be taken for the answer of the next.
    if (this.#current?.channel.isDisturbed || (this.#current?.reader.buffered.length ?? 0) > 0)
      this.discard();
    if (this.#current === undefined) {
      this.#current = await this.#opened();
      this.#requests = 0;
    }
    return { ...this.#current, isReused: this.#requests++ > 0 };
  }

  /** Breaks the connection off, if there is one. The next request opens another. */
  discard(): void {
    this.#current?.channel.destroy();
    this.#current = undefined;
  }

  async #opened(): Promise<TunnelEnd> {
    try {
      return await this.#open();
    } catch (error) {
      if (error instanceof HttpProblem) throw error;
      throw upstreamProblem(connectReason(error));
    }
  }
}

/** How long the last write of a request may take after the response has begun, until the response counts as early. */
const SENT_MS_MAX = 20;

/** Whether a request was sent to its end. */
export function isSent(sending: Promise<unknown>): Promise<boolean> {
  return settlesWithin(sending, SENT_MS_MAX);
}

/** A connection's failure in plain words, by the system's or OpenSSL's code, which says nothing of the request. */
export function connectReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  return code === undefined ? "cannot connect to the server" : `cannot connect to the server: ${code}`;
}
