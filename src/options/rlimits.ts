/** Resource limits of programs. @module */
import { z } from "zod";

/** One resource limit, as in setrlimit(2). */
export interface RlimitOptions {
  /** The limit in force, which a program may raise up to `hard`. */
  readonly soft: number | "unlimited";
  /** The most that a program may raise `soft` to. @default the soft limit */
  readonly hard?: number | "unlimited" | undefined;
}

const limit = z.union([z.int().min(0), z.literal("unlimited")]);
/** Limits by name, as callers give them. */
export const rlimitsSchema = z.record(
  z.string().regex(/^[a-z]+$/, "must be a limit's name in lower case"),
  z
    .strictObject({ soft: limit, hard: limit.optional() })
    .refine(({ soft, hard = soft }) => limitValue(soft) <= limitValue(hard), "soft must not be above hard"),
);

/** A limit as it is stored, and sent to the guest: `name=soft:hard`. */
export const storedRlimitSchema = z.string().regex(/^[a-z]+=(\d+|unlimited):(\d+|unlimited)$/);

/** The stored form of one limit. */
export function formatRlimit(name: string, { soft, hard = soft }: RlimitOptions): string {
  return `${name}=${soft}:${hard}`;
}

function limitValue(value: number | "unlimited"): number {
  return value === "unlimited" ? Number.POSITIVE_INFINITY : value;
}
