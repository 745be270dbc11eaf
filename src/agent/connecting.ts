/**
 * Connecting to a VM host process: its options, its limit, and the greeting that ends it.
 *
 * @module
 */
import { CallLimit } from "../base/wait.ts";
import type { ExplainEnd } from "./end_reason.ts";
import { AgentHandshakeError } from "./errors.ts";
import { type Message, type MessageFields, PROTOCOL_VERSION } from "./protocol.ts";

/** How long connecting may take, unless the caller says otherwise. */
const CONNECT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  /** Milliseconds until the welcome of the VM host process; `Infinity`: until `signal` fires. @default {10_000} */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Finds out why the sandbox crashed. Called if the connection ends in the middle of a session, and without a reason. */
  readonly explainEnd?: ExplainEnd | undefined;
}

/** Starts the time of one attempt. */
export function connectLimit({ timeoutMs = CONNECT_TIMEOUT_MS, signal }: ConnectOptions): CallLimit {
  return new CallLimit({ action: "connecting to the sandbox", timeoutMs, signal });
}

/** Checks the greeting. @throws {AgentHandshakeError} if it refuses, or is another message or version. */
export function acceptWelcome(message: Message | undefined): MessageFields<"welcome"> {
  if (message?.name === "error")
    throw new AgentHandshakeError(`The VM host process refused: ${message.fields.message}`);
  if (message?.name !== "welcome")
    throw new AgentHandshakeError(`Expected a welcome, got ${message?.name ?? "an unknown message"}`);
  if (message.fields.version !== PROTOCOL_VERSION) {
    throw new AgentHandshakeError(
      `The sandbox speaks protocol ${message.fields.version}, this library ${PROTOCOL_VERSION}`,
      { hint: "stop the sandbox with the release that started it, then start it again" },
    );
  }
  return message.fields;
}
