/** signal(7) in messages of the guest's agent: numbers and names. @module */
import { InvalidConfigError } from "../base/errors.ts";
import { suggestOption } from "../base/suggest_option.ts";

/**
 * The name of a signal, as in signal(7). Real-time signals (32 to 64) have none: what they are called depends on the C
 * library.
 */
export type SignalName =
  | "SIGHUP"
  | "SIGINT"
  | "SIGQUIT"
  | "SIGILL"
  | "SIGTRAP"
  | "SIGABRT"
  | "SIGBUS"
  | "SIGFPE"
  | "SIGKILL"
  | "SIGUSR1"
  | "SIGSEGV"
  | "SIGUSR2"
  | "SIGPIPE"
  | "SIGALRM"
  | "SIGTERM"
  | "SIGSTKFLT"
  | "SIGCHLD"
  | "SIGCONT"
  | "SIGSTOP"
  | "SIGTSTP"
  | "SIGTTIN"
  | "SIGTTOU"
  | "SIGURG"
  | "SIGXCPU"
  | "SIGXFSZ"
  | "SIGVTALRM"
  | "SIGPROF"
  | "SIGWINCH"
  | "SIGIO"
  | "SIGPWR"
  | "SIGSYS";

/** The numbers of Linux on x86-64 and ARM, which every guest runs on, whatever the host is. */
export const GUEST_SIGNALS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
} as const satisfies Readonly<Record<SignalName, number>>;

/** The highest number of a real-time signal. */
const SIGNAL_MAX = 64;

const NAMES_BY_NUMBER: ReadonlyMap<number, SignalName> = new Map(
  Object.entries(GUEST_SIGNALS).map(([name, number]) => [number, name as SignalName]),
);

/** The name of a signal; `undefined` for a real-time signal, and for none. */
export function signalName(signal: number | undefined): SignalName | undefined {
  return signal === undefined ? undefined : NAMES_BY_NUMBER.get(signal);
}

/** The number of a signal that a caller gave by name or number. @throws {InvalidConfigError} if there is no such signal. */
export function signalNumber(signal: SignalName | number): number {
  if (typeof signal === "string" && Object.hasOwn(GUEST_SIGNALS, signal)) return GUEST_SIGNALS[signal];
  if (Number.isInteger(signal) && Number(signal) >= 1 && Number(signal) <= SIGNAL_MAX) return Number(signal);
  const current = typeof signal === "string" ? JSON.stringify(signal) : String(signal);
  const problem = `must be the name of a signal, such as "SIGTERM", or a number from 1 to ${SIGNAL_MAX}: current value is ${current}`;
  throw new InvalidConfigError([{ field: "signal", problem }], { hint: hintFor(signal) });
}

/** `TERM`, `sigterm` and `SIGTEM` are SIGTERM, spelt otherwise. */
function hintFor(signal: unknown): string | undefined {
  if (typeof signal !== "string") return undefined;
  const names = Object.keys(GUEST_SIGNALS);
  const meant = names.find((name) => name === `SIG${signal.toUpperCase()}`) ?? suggestOption(signal, names);
  return meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
}
