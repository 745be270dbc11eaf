/** Options of one call that creates or starts a sandbox. @module */
import type { BootCallOptions, StartCallOptions } from "../backend/backend.ts";
import { checkFields } from "../base/parse_config.ts";
import type { ConnectOrStartOptions, EndOptions, RestartOptions } from "./lifecycle.ts";

const CALL = {
  signal: true,
  onStep: true,
  onPullProgress: true,
  registry: true,
  platform: true,
  parallelDownloads: true,
  maxUnpackedBytes: true,
} as const satisfies Record<keyof BootCallOptions, true>;
const END = { force: true, timeoutMs: true } as const satisfies Record<keyof EndOptions, true>;
const START = { ...CALL, secrets: true, hooks: true } as const satisfies Record<keyof StartCallOptions, true>;
const CONNECT = { ...START, detached: true } as const satisfies Record<keyof ConnectOrStartOptions, true>;
const RESTART = { ...CONNECT, ...END } as const satisfies Record<keyof RestartOptions, true>;

/** Refuses fields that a call does not have. @throws {InvalidConfigError} */
export function checkCallOptions(call: BootCallOptions): void {
  checkFields(call, CALL, "call");
}

/** Refuses fields that `start()` does not have. @throws {InvalidConfigError} */
export function checkStartOptions(call: StartCallOptions): void {
  checkFields(call, START, "call");
}

/** Refuses fields that `connectOrStart()` does not have. @throws {InvalidConfigError} */
export function checkConnectOptions(options: ConnectOrStartOptions): void {
  checkFields(options, CONNECT, "options");
}

/** Refuses fields that `restart()` does not have. @throws {InvalidConfigError} */
export function checkRestartOptions(options: RestartOptions): void {
  checkFields(options, RESTART, "options");
}

/** Refuses fields that `destroy()` does not have. @throws {InvalidConfigError} */
export function checkEndOptions(options: EndOptions): void {
  checkFields(options, END, "options");
}
