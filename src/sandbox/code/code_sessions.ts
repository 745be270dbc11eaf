/** The sessions of one sandbox, as one `Sandbox` object knows them. @module */
import type { Connector } from "../../agent/client.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { CallLimit } from "../../base/wait.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import {
  type CodeSessionOptions,
  checkSameStart,
  type OpenCodeSessionOptions,
  parseOpenSession,
  parseRunCode,
  type RunCodeOptions,
} from "./code_options.ts";
import type { CodeResult } from "./code_result.ts";
import { CodeSession } from "./code_session.ts";
import { CodeLimitError } from "./errors.ts";
import { Interpreter } from "./interpreter.ts";
import type { CodeLanguage } from "./language.ts";
import { runOnce } from "./run_once.ts";

/** How many sessions may be open: each is an interpreter in the guest's memory. */
export const SESSIONS_MAX = 32;

/** Finds and makes sessions by name. */
export class CodeSessions {
  readonly #sandbox: Connector;
  readonly #config: SandboxConfig;
  readonly #sessions = new Map<string, CodeSession>();
  #unnamed = 0;

  constructor(sandbox: Connector, config: SandboxConfig) {
    this.#sandbox = sandbox;
    this.#config = config;
  }

  /** See `Sandbox.runCode()`. */
  async run(language: CodeLanguage, source: string, options: RunCodeOptions): Promise<CodeResult> {
    const { session: name, start, call } = parseRunCode(language, source, options);
    if (name === undefined) return await runOnce(this.#sandbox, this.#config, language, source, start, call);
    const session = this.#find(name);
    if (session !== undefined) checkSameStart(session, language, start);
    return await (session ?? this.#make(name, language, start)).runChecked(source, call);
  }

  /** See `Sandbox.openCodeSession()`. */
  async open(language: CodeLanguage, options: OpenCodeSessionOptions): Promise<CodeSession> {
    const { name = this.#newName(), signal, start } = parseOpenSession(language, options);
    if (this.#find(name) !== undefined)
      throw new InvalidConfigError([
        { field: "name", problem: `must not be the name of an open session: current value is ${name}` },
      ]);
    const session = this.#make(name, language, start);
    using limit = new CallLimit({ action: "starting an interpreter", signal });
    await session.begin(limit);
    return session;
  }

  /** Closes the session of that name, if there is one. */
  async close(name: string): Promise<boolean> {
    const session = this.#find(name);
    await session?.close();
    return session !== undefined;
  }

  #find(name: string): CodeSession | undefined {
    const session = this.#sessions.get(name);
    return session?.isEnded === true ? undefined : session; // asking drops it from the map
  }

  #make(name: string, language: CodeLanguage, start: CodeSessionOptions): CodeSession {
    for (const session of [...this.#sessions.values()]) this.#find(session.name); // drops what has ended by itself
    if (this.#sessions.size >= SESSIONS_MAX) throw new CodeLimitError("sessions", SESSIONS_MAX);
    const session = new CodeSession({
      name,
      language,
      start,
      startInterpreter: (limit) =>
        Interpreter.start(this.#sandbox, this.#config, language, start, limit, name),
      onEnd: (ended) => {
        if (this.#sessions.get(name) === ended) this.#sessions.delete(name);
      },
    });
    this.#sessions.set(name, session);
    return session;
  }

  #newName(): string {
    for (;;) {
      const name = `session-${++this.#unnamed}`;
      if (!this.#sessions.has(name)) return name;
    }
  }
}
