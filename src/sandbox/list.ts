/** Pages of sandboxes. @module */
import { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import { openRegistry, reconcile, SandboxCore } from "./core.ts";
import { SandboxHandle } from "./handle.ts";

const PAGE_DEFAULT = 20;
const PAGE_MAX = 100;

/** Which sandboxes to list. */
export interface SandboxListOptions {
  /** Most sandboxes of one page, 1 to 100. @default {20} */
  readonly limit?: number | undefined;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
  /** Only those that have all of these. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** One page; `nextCursor` is there if more may follow. */
export interface SandboxPage {
  readonly sandboxes: readonly SandboxHandle[];
  readonly nextCursor?: string;
}

const schema = z.strictObject({
  limit: z.int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  cursor: z.base64url().optional(),
  labels: z.record(z.string(), z.string()).optional(),
});

/** See `Sandbox.list()`. @throws {InvalidConfigError} */
export async function listSandboxes(options: SandboxListOptions): Promise<SandboxPage> {
  const parsed = schema.safeParse(
    Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  );
  if (!parsed.success) {
    throw new InvalidConfigError(
      parsed.error.issues.map(({ path, message }) => ({
        field: path.join(".") || "options",
        problem: message,
      })),
    );
  }
  const { limit, cursor, labels } = parsed.data;
  const registry = openRegistry();
  const after = cursor === undefined ? undefined : Buffer.from(cursor, "base64url").toString("utf8");
  const records = registry.list({ limit, after, labels });
  const found = await Promise.all(records.map((record) => reconcile(registry, record)));
  const sandboxes = found.flatMap((record) =>
    record === undefined ? [] : [new SandboxHandle(new SandboxCore(registry, record), record)],
  );
  const last = records.at(-1);
  if (last === undefined || records.length < limit) return { sandboxes };
  return { sandboxes, nextCursor: Buffer.from(last.id).toString("base64url") };
}
