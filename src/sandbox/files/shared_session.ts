/**
 * The file session that all small calls of a user share, over one connection.
 *
 * Its answers come in order, so a call that hangs (on a dead mount, say) holds up those behind it. That is why a session
 * in which nothing moves, or a call was given up, takes no new calls: they go to another one, and it ends with its last. If
 * the call that was given up is what the others wait for, it ends at once: they were not begun, and reject.
 *
 * @module
 */
import { clearTimeout, setTimeout } from "node:timers";
import type { AgentClient } from "../../agent/client.ts";
import { FileSessionFailedError } from "../../agent/errors.ts";
import type { FilesOpen } from "../../agent/exec_opening.ts";
import type { FileCall } from "../../agent/file_call.ts";
import type { FileSession } from "../../agent/file_session.ts";

/** How long it stays without a call: long enough for a program that works on one file after the other. */
const IDLE_MS = 2_000;
/** How long it may have calls under way without one of them ending, before new calls go elsewhere. */
const STALLED_AFTER_MS = 1_000;

const HUNG = "a call before it hung and was given up, and the process that worked on both was ended";

/** By user and directory. They live as long as the connection. */
const sessionsByClient = new WeakMap<AgentClient, Map<string, SharedSession>>();

/** The session for small calls of a user. */
export function sharedSession(client: AgentClient, open: FilesOpen): SharedSession {
  const sessions = sessionsByClient.get(client) ?? new Map<string, SharedSession>();
  sessionsByClient.set(client, sessions);
  const key = `${open.user}\0${open.cwd}`;
  const known = sessions.get(key);
  if (known?.takesCalls === true) return known;
  known?.retire();
  const made = new SharedSession(client.openFiles(open), () => {
    if (sessions.get(key) === made) sessions.delete(key);
  });
  sessions.set(key, made);
  return made;
}

/** A session and how many callers use it. */
export class SharedSession {
  readonly #session: FileSession;
  readonly #onRetired: () => void;
  #callers = 0;
  /** When a call ended last, or one was begun while there was none. */
  #movedAt = 0;
  #isRetired = false;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(session: FileSession, onRetired: () => void) {
    this.#session = session;
    this.#onRetired = onRetired;
    session.finished.then(() => this.retire());
  }

  /** Whether a new call is well placed here. */
  get takesCalls(): boolean {
    return !this.#isRetired && this.#session.isOpen && !this.#isStalled;
  }

  get #isStalled(): boolean {
    return this.#callers > 0 && performance.now() - this.#movedAt >= STALLED_AFTER_MS;
  }

  /** Makes a call. {@linkcode end} or {@linkcode abandon} has to follow. */
  begin(send: (session: FileSession) => FileCall): FileCall {
    const call = send(this.#session);
    if (this.#callers++ === 0) {
      this.#movedAt = performance.now();
      clearTimeout(this.#idleTimer);
    }
    return call;
  }

  /** The caller of {@linkcode begin} has what it wanted. What is still to come of its answers is dropped. */
  end(call: FileCall): void {
    call.discard();
    this.#movedAt = performance.now();
    this.#leave();
  }

  /** The caller has given up. If its call was not answered, the session may hang. */
  abandon(call: FileCall): void {
    const isOver = call.isOver;
    call.discard();
    if (!isOver) {
      this.retire();
      this.#endIfHung(call);
    }
    this.#leave();
  }

  /** Takes no new calls, and ends with the last caller. */
  retire(): void {
    if (!this.#isRetired) this.#onRetired();
    this.#isRetired = true;
    if (this.#callers === 0) this.#close();
  }

  /** Ends the session, and with it the calls that wait behind `call`, if that is what they wait for. */
  #endIfHung(call: FileCall): void {
    const look = () => {
      if (call.isOver || !this.#session.isOpen) return;
      if (this.#isStalled) this.#session.close(new FileSessionFailedError("other", 0, HUNG));
      else this.#endIfHung(call); // it moves: only not far enough yet
    };
    setTimeout(look, STALLED_AFTER_MS).unref();
  }

  #leave(): void {
    if (--this.#callers > 0) return;
    if (this.#isRetired) return this.#close();
    this.#idleTimer = setTimeout(() => this.retire(), IDLE_MS);
    this.#idleTimer.unref(); // no reason to keep the process alive: the session ends with the connection
  }

  #close(): void {
    clearTimeout(this.#idleTimer);
    if (this.#session.isOpen) this.#session.close();
  }
}
