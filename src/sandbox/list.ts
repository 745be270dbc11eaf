/**
 * Lists of sandboxes: a page for `await`, all of them for `for await`.
 *
 * @module
 */
import { z } from "zod";
import { isSandboxStatus, type ListPosition, type SandboxStatus } from "../backend/backend.ts";
import { defaultBackend } from "../backend/default_backend.ts";
import { withoutUndefined } from "../base/defined.ts";
import { InvalidConfigError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import { wantedLabelsSchema } from "../options/labels.ts";
import { SandboxHandle } from "./handle.ts";

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

/** Which sandboxes to list. */
export interface SandboxListOptions {
  /** Most sandboxes of one page, 1 to 100. @default {20} */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
  /** Only those that have all of these, at most 64. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Only those in one of these. */
  readonly status?: SandboxStatus | readonly SandboxStatus[] | undefined;
}

/** One page; `nextCursor` is there if more may follow. */
export interface SandboxPage {
  /** The sandboxes of this page, in order of creation. */
  readonly sandboxes: readonly SandboxHandle[];
  /** Where the next page begins; absent on the last one. */
  readonly nextCursor?: string;
}

const status = z.custom<SandboxStatus>(isSandboxStatus, "must be a sandbox's status");
const schema = z.strictObject({
  limit: z.int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  cursor: z.base64url().optional(),
  labels: wantedLabelsSchema.optional(),
  status: z.union([status, z.array(status)]).optional(),
});

/**
 * What `Sandbox.list()` returns: a promise of one page, and an iterable of all sandboxes, page after page. A sandbox
 * that is created or removed between two pages does not affect the others.
 *
 * @example
 * ```ts no-vm
 * for await (const handle of Sandbox.list({ labels: { team: "blue" } })) console.log(handle.name, handle.status);
 * ```
 */
export class SandboxListing implements Promise<SandboxPage>, AsyncIterable<SandboxHandle> {
  /** The name of the class, for `Object.prototype.toString()`. */
  readonly [Symbol.toStringTag] = "SandboxListing";
  readonly #options: SandboxListOptions;
  #page: Promise<SandboxPage> | undefined;

  /** Use `Sandbox.list()`. */
  constructor(options: SandboxListOptions) {
    this.#options = options;
  }

  /** Reads the first page; `await` calls this. */
  // biome-ignore lint/suspicious/noThenProperty: this is a promise
  then<A = SandboxPage, B = never>(
    fulfilled?: ((page: SandboxPage) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#first().then(fulfilled, rejected);
  }

  /** See `Promise.prototype.catch()`. */
  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<SandboxPage | B> {
    return this.#first().catch(rejected);
  }

  /** See `Promise.prototype.finally()`. */
  finally(settled?: (() => void) | null): Promise<SandboxPage> {
    return this.#first().finally(settled);
  }

  /** Gives all sandboxes, page after page. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SandboxHandle, void, void> {
    let page = await this.#first();
    for (;;) {
      yield* page.sandboxes;
      if (page.nextCursor === undefined) return;
      page = await readPage({ ...this.#options, cursor: page.nextCursor });
    }
  }

  /** Read when somebody asks, and once. */
  #first(): Promise<SandboxPage> {
    this.#page ??= readPage(this.#options);
    return this.#page;
  }
}

/**
 * Collects {@linkcode SandboxListOptions}, for `Sandbox.listWith()`.
 *
 * @example
 * ```ts no-vm
 * const page = await Sandbox.listWith((list) => list.label("team", "blue").status("running").limit(10));
 * for (const handle of page.sandboxes) console.log(handle.name, handle.status);
 * ```
 */
export class SandboxListBuilder {
  #options: SandboxListOptions = {};

  /** Sets the most sandboxes of one page, 1 to 100. */
  limit(limit: number): this {
    return this.#set({ limit });
  }

  /** Sets where to begin: `nextCursor` of the page before. */
  cursor(cursor: string): this {
    return this.#set({ cursor });
  }

  /** Lists only sandboxes with this label; adds to those set before. */
  label(key: string, value: string): this {
    return this.labels({ [key]: value });
  }

  /** Lists only sandboxes with all of these labels; adds to those set before. */
  labels(labels: Readonly<Record<string, string>>): this {
    return this.#set({ labels: { ...this.#options.labels, ...labels } });
  }

  /** Lists only sandboxes in one of these statuses. */
  status(...statuses: readonly SandboxStatus[]): this {
    return this.#set({ status: statuses });
  }

  /** Returns the options collected so far. */
  build(): SandboxListOptions {
    return this.#options;
  }

  #set(options: SandboxListOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}

async function readPage(options: SandboxListOptions): Promise<SandboxPage> {
  const { limit, cursor, labels, status } = parse(options);
  const after = cursor === undefined ? undefined : decodeCursor(cursor);
  const statuses = status === undefined ? undefined : [status].flat();
  const { found, next } = await defaultBackend().list({ limit, after, labels, statuses });
  const sandboxes = found.map(({ sandbox, record }) => new SandboxHandle(sandbox, record));
  return next === undefined ? { sandboxes } : { sandboxes, nextCursor: encodeCursor(next) };
}

function parse(options: SandboxListOptions): z.output<typeof schema> {
  return parseConfig(schema, withoutUndefined(options), "options");
}

function encodeCursor({ createdAtMs, id }: ListPosition): string {
  return Buffer.from(`${createdAtMs}:${id}`).toString("base64url");
}

function decodeCursor(cursor: string): ListPosition {
  const match = /^(\d{1,15}):(.+)$/.exec(Buffer.from(cursor, "base64url").toString("utf8"));
  const [, createdAtMs, id] = match ?? [];
  if (createdAtMs !== undefined && id !== undefined) return { createdAtMs: Number(createdAtMs), id };
  throw new InvalidConfigError([{ field: "cursor", problem: "must be the nextCursor of a page" }]);
}
