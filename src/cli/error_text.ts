/**
 * Errors of the library in the words of the command line: flags for options, commands for methods.
 *
 * @module
 */
import { InvalidConfigError, MicrosandboxError } from "../../mod.ts";

/** An error as it is shown. */
export interface ErrorText {
  readonly message: string;
  /** The stable code, where there is one. */
  readonly code: string | undefined;
  readonly hint: string | undefined;
}

/** What to do, where the library's own advice is for programs. */
const HINTS: Readonly<Record<string, string>> = {
  sandboxNotFound: "`msb ls` lists those that there are",
  sandboxAlreadyExists: "choose another --name, add --replace, or see `msb start` and `msb rm`",
  sandboxStillRunning: "`msb stop` it first, or add --force",
  sandboxNotRunning: "`msb start` boots it",
  sandboxReplaced: "try again: the name is another sandbox's now",
  noDefaultCommand: "say what to run: msb run IMAGE -- PROGRAM",
  jobNotFound: "`msb jobs` lists those that the sandbox has",
  jobNameTaken: "`msb job wait` for it, or `msb job kill` it: the name is free then",
  imageInUse: "`msb rm` what uses it, or add --force to remove the name only",
  snapshotNotFound: "`msb snapshot ls` lists those that there are",
  volumeNotFound: "`msb volume ls` lists the existing ones",
  volumeAlreadyExists: "choose another name, or `msb volume rm` it",
  terminal: "run it in a terminal, or on pipes with --no-tty",
  jobEnded: "`msb job logs` shows what it wrote",
  jobAttachedElsewhere: "it runs on: `msb attach` takes it back",
  engineUnavailable: "`msb doctor` says what is missing",
};

/** The flag that sets an option of the library. */
const FLAGS: Readonly<Record<string, string>> = {
  name: "name",
  image: "IMAGE",
  fromSnapshot: "SNAPSHOT",
  cpus: "--cpus",
  memoryMiB: "--memory",
  diskMiB: "--root-disk",
  kind: "--kind",
  sizeMiB: "--size",
  rootDisk: "--root-disk",
  rootDirectory: "IMAGE",
  env: "--env",
  workdir: "--workdir",
  cwd: "--workdir",
  user: "--user",
  shell: "--shell",
  hostname: "--hostname",
  labels: "--label",
  rlimits: "--rlimit",
  engine: "--engine",
  maxDurationMs: "--max-duration",
  idleTimeoutMs: "--idle-timeout",
  timeoutMs: "--timeout",
  detachKeys: "--detach-keys",
  bytesMax: "--max-size",
  entriesMax: "--max-files",
  network: "--network",
  ports: "--port",
  tail: "--tail",
  since: "--since",
  until: "--until",
  sources: "--source",
};

/** Parts of options that have flags of their own. */
const PART_FLAGS: Readonly<Record<string, string>> = {
  "network.allow": "--allow",
  "network.deny": "--deny",
  "network.rules": "--net-rule",
  "network.secrets": "--secret",
  "network.dns.nameservers": "--dns-nameserver",
  "network.tls.bypass": "--tls-bypass",
  "network.tls.upstreamCaCertPaths": "--tls-upstream-ca-cert",
  "network.tls.interceptCaCertPath": "--tls-intercept-ca-cert",
  "network.tls.interceptCaKeyPath": "--tls-intercept-ca-key",
  "network.maxConnections": "--max-connections",
};

export function describeError(error: unknown): ErrorText {
  if (error instanceof InvalidConfigError) {
    const message = error.issues.map(({ field, problem }) => `${flagOf(field)}: ${problem}`).join("; ");
    // Others could read a value on a command line, so no flag takes one.
    const hint = error.hint?.replace(", or give the secret by value", "");
    return { message, code: error.code, hint };
  }
  if (MicrosandboxError.is(error)) {
    const hint = HINTS[error.code] ?? error.hint?.replaceAll(/\b(?:bytesMax|entriesMax)\b/g, flagOf);
    return { message: error.summary, code: error.code, hint };
  }
  return {
    message: error instanceof Error ? error.message : String(error),
    code: undefined,
    hint: undefined,
  };
}

/**
 * `rlimits.nofile` comes from `--rlimit`. The problem shows which value of a repeated flag it is about; a secret has one flag for all its
 * parts.
 */
function flagOf(field: string): string {
  const [option = "", ...parts] = field.split(".");
  for (const depth of [2, 1]) {
    const flag = PART_FLAGS[[option, ...parts.slice(0, depth)].join(".")];
    if (flag === undefined) continue;
    const rest = parts.slice(depth);
    const named = flag === "--secret" ? rest.slice(0, 1) : rest.filter((name) => !/^\d+$/.test(name));
    return [flag, ...named].join(" ");
  }
  return [FLAGS[option] ?? option, ...parts].join(" ");
}
