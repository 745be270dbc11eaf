/**
 * The sandboxes of one connection: made with our label, started again when they are needed, ended with the connection.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import {
  MicrosandboxError,
  Sandbox,
  SandboxAlreadyExistsError,
  type SandboxHandle,
  SandboxNotFoundError,
} from "../../../mod.ts";
import { ENTRIES_MAX, MCP_LABEL, type McpSettings } from "./settings.ts";
import { ToolError } from "./tool_error.ts";

/** A client's request for a new sandbox. */
export interface McpCreateRequest {
  readonly name?: string | undefined;
  readonly image?: string | undefined;
  readonly memoryMiB?: number | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
}

/** A sandbox that is used here, with its timer for sessions. */
interface Connected {
  readonly sandbox: Sandbox;
  readonly sessions: Set<string>;
  /** How many calls run in sessions. */
  busy: number;
  idle: ReturnType<typeof setTimeout> | undefined;
}

/** Finds, makes and ends sandboxes. */
export class McpSandboxes {
  readonly #settings: McpSettings;
  readonly #connected = new Map<string, Connected>();
  /** Sandboxes that this connection has made or started, by id. */
  readonly #begun = new Map<string, SandboxHandle>();
  /** Names of those that are being made: each may have a record already, or not yet. */
  readonly #creating = new Set<string>();

  /** Sandboxes that are being started, by id. */
  readonly #starting = new Map<string, Promise<Sandbox>>();
  #isEnded = false;

  constructor(settings: McpSettings) {
    this.#settings = settings;
  }

  /** Makes a sandbox, within the limits. */
  async create(request: McpCreateRequest, signal: AbortSignal): Promise<Sandbox> {
    const { image: usual, memoryMiB: memoryMax, sandboxesMax, atEnd } = this.#settings;
    const { memoryMiB = memoryMax, name = `mcp-${randomBytes(4).toString("hex")}` } = request;
    const image = this.#checkImage(request.image ?? usual);
    if (memoryMiB > memoryMax)
      throw new ToolError(
        "limitReached",
        `A sandbox may have at most ${memoryMax} MiB`,
        "ask for less memory",
      );
    if (this.#creating.has(name)) throw new SandboxAlreadyExistsError(name);
    this.#creating.add(name);
    try {
      if ((await this.#othersUpTo(sandboxesMax)) + this.#creating.size > sandboxesMax)
        throw new ToolError(
          "limitReached",
          `There may be at most ${sandboxesMax} sandboxes`,
          "use or remove one of those that sandbox_list shows",
        );
      const { cpus, network, idleTimeoutMs } = this.#settings;
      const sandbox = await Sandbox.create(
        {
          name,
          image,
          memoryMiB,
          cpus,
          network,
          idleTimeoutMs,
          env: request.env,
          workdir: request.workdir,
          labels: { [MCP_LABEL]: "true" },
          detached: atEnd === "keep",
        },
        { signal },
      );
      this.#begun.set(sandbox.id, await Sandbox.get(name));
      this.#connected.set(name, { sandbox, sessions: new Set(), busy: 0, idle: undefined });
      return sandbox;
    } finally {
      this.#creating.delete(name);
    }
  }

  /** The sandbox of that name, if it may be used. @throws {SandboxNotFoundError} also for those of others */
  async find(name: string): Promise<SandboxHandle> {
    const handle = await Sandbox.get(name);
    if (this.#isOurs(handle)) return handle;
    throw new SandboxNotFoundError(name);
  }

  /** The sandbox, running: one that has stopped is started. */
  async running(name: string): Promise<Sandbox> {
    const before = this.#connected.get(name);
    const handle = await this.find(name);
    const known = this.#connected.get(name);
    // Another call may have started it since its status was read.
    if (known?.sandbox.id === handle.id && (handle.status === "running" || known !== before)) {
      this.#touch(name, known);
      return known.sandbox;
    }
    // All waiting calls get the same object, because it has the sessions. So the signal of one call does not end the start.
    const pending = this.#starting.get(handle.id) ?? this.#start(handle);
    this.#starting.set(handle.id, pending);
    try {
      return await pending;
    } finally {
      this.#starting.delete(handle.id);
    }
  }

  /**
   * Runs code in a session, and remembers that: when the sandbox has not been used for the idle time, the session is closed. With an
   * interpreter that runs, the sandbox would never be idle.
   */
  async inSession<T>(name: string, session: string, run: () => Promise<T>): Promise<T> {
    const known = this.#connected.get(name);
    if (known === undefined) return await run();
    known.sessions.add(session);
    known.busy++;
    try {
      return await run();
    } finally {
      known.busy--;
      this.#touch(name, known);
    }
  }

  /** All that may be used, at most 1000, and whether there are more. */
  async list(): Promise<{ readonly handles: readonly SandboxHandle[]; readonly isCut: boolean }> {
    const handles: SandboxHandle[] = [];
    for await (const handle of Sandbox.list({ limit: 100 })) {
      if (!this.#isOurs(handle)) continue;
      if (handles.length === ENTRIES_MAX) return { handles, isCut: true };
      handles.push(handle);
    }
    return { handles, isCut: false };
  }

  /** Ends those that this connection has made or started, as the settings say. @returns what went wrong */
  async end(): Promise<readonly unknown[]> {
    this.#isEnded = true;
    for (const { idle } of this.#connected.values()) clearTimeout(idle);
    const { atEnd } = this.#settings;
    if (atEnd === "keep") {
      const sessions = [...this.#connected.values()].flatMap(({ sandbox, sessions }) =>
        [...sessions].map((session) => sandbox.closeCodeSession(session)),
      );
      return failuresOf(await Promise.allSettled(sessions));
    }
    const ends = [...this.#begun.values()].map((handle) =>
      atEnd === "remove" && handle.labels[MCP_LABEL] === "true" ? handle.destroy() : handle.stop(),
    );
    return failuresOf(await Promise.allSettled(ends));
  }

  #checkImage(image: string | undefined): string {
    const { allowedImages, image: usual } = this.#settings;
    if (image === undefined)
      throw new ToolError("notAllowed", "There is no default image", "say which image to use, e.g. alpine");
    if (image === usual || allowedImages?.includes(image) === true) return image;
    if (allowedImages !== undefined)
      throw new ToolError(
        "notAllowed",
        `The image ${JSON.stringify(image)} is not allowed`,
        `use one of ${[...new Set([...(usual === undefined ? [] : [usual]), ...allowedImages])].join(", ")}`,
      );
    // A path would make files of this machine readable in the sandbox.
    if (!/^[a-z0-9][a-z0-9._:@/-]*$/i.test(image) || /\.(?:tar|tgz|tar\.[a-z0-9]+)$/i.test(image))
      throw new ToolError(
        "notAllowed",
        `${JSON.stringify(image)} is not the name of an image in a registry`,
        "the server's flag --allow-image can allow it",
      );
    return image;
  }

  async #start(handle: SandboxHandle): Promise<Sandbox> {
    const sandbox = await handle.connectOrStart({ detached: this.#settings.atEnd === "keep" });
    if (handle.status !== "running") this.#begun.set(handle.id, handle);
    clearTimeout(this.#connected.get(handle.name)?.idle);
    this.#connected.set(handle.name, { sandbox, sessions: new Set(), busy: 0, idle: undefined });
    return sandbox;
  }

  /** Number of sandboxes with our label, without those that are being made; counts up to `most`. */
  async #othersUpTo(most: number): Promise<number> {
    let count = 0;
    for await (const { name } of Sandbox.list({ limit: 100, labels: { [MCP_LABEL]: "true" } }))
      if (!this.#creating.has(name) && ++count >= most) break;
    return count;
  }

  #isOurs({ labels }: SandboxHandle): boolean {
    return this.#settings.all || labels[MCP_LABEL] === "true";
  }

  #touch(name: string, known: Connected): void {
    clearTimeout(known.idle);
    known.idle = undefined;
    if (known.sessions.size === 0 || known.busy > 0 || this.#isEnded) return;
    const { idleTimeoutMs } = this.#settings;
    known.idle = setTimeout(() => {
      for (const session of known.sessions) known.sandbox.closeCodeSession(session).catch(() => {}); // its sandbox has ended, and it with it
      known.sessions.clear();
      if (this.#connected.get(name) === known) this.#connected.delete(name);
    }, idleTimeoutMs);
  }
}

/** The failures, except for sandboxes that are gone anyway. */
function failuresOf(outcomes: readonly PromiseSettledResult<unknown>[]): readonly unknown[] {
  const gone = ["sandboxNotFound", "sandboxReplaced"];
  return outcomes
    .flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []))
    .filter((error) => !(MicrosandboxError.is(error) && gone.includes(error.code)));
}
