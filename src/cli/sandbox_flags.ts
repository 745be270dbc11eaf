/**
 * The flags of `run`, `create` and `restore` that say what a sandbox is like, and what they mean to the library.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { type Command, Option } from "@commander-js/extra-typings";
import { ENGINE_NAMES, type SandboxOptions } from "../../mod.ts";
import { toNetwork, withNetworkFlags } from "./network_flags.ts";
import {
  collect,
  parseCount,
  parseDurationMs,
  parseEnv,
  parseEnvFile,
  parsePair,
  parsePort,
  parseRlimit,
  parseSizeMiB,
} from "./parse.ts";
import { parseDiskMount, parseRootDisk, parseTmpfs, parseVolume } from "./parse_mounts.ts";

/** Adds the flags to a command that has nothing yet, so that their types are known to what is added behind them. */
export function withSandboxFlags(command: Command) {
  return withNetworkFlags(command)
    .option("-n, --name <name>", "name of the sandbox; one is made up without it")
    .option("-c, --cpus <count>", "virtual processors", parseCount)
    .option("-m, --memory <size>", "memory, e.g. 512M or 2G", parseSizeMiB)
    .option(
      "--root-disk <SPEC>",
      "where writes go: a disk of that size (8G), memory (tmpfs:256M), or a disk image (./scratch.img)",
      parseRootDisk,
    )
    .option(
      "-e, --env <KEY[=VALUE]>",
      "variable of every program; KEY alone takes yours; repeatable",
      collect(parseEnv),
    )
    .option("--env-file <path>", "file of KEY=VALUE lines; repeatable", collect(parseEnvFile))
    .option("-w, --workdir <path>", "working directory of every program")
    .option("-u, --user <user>", "user of every program: name, uid, name:group or uid:gid")
    .option(
      "-p, --port <[HOST:]GUEST>",
      "publish a port on 127.0.0.1, on a free port without HOST; /udp at the end for UDP; repeatable",
      collect(parsePort),
    )
    .option(
      "-v, --volume <SOURCE:TARGET[:OPTIONS]>",
      "mount a directory or file of this machine (./PATH), or a volume (NAME); OPTIONS: ro,noexec,watch; repeatable",
      collect(parseVolume),
    )
    .option(
      "--mount-disk <PATH:TARGET[:OPTIONS]>",
      "mount a disk image; OPTIONS: ro,format=qcow2,fstype=ext4; repeatable",
      collect(parseDiskMount),
    )
    .option("--tmpfs <TARGET[:SIZE]>", "mount a file system in memory; repeatable", collect(parseTmpfs))
    .option("-H, --hostname <name>", "host name of the guest")
    .option("--shell <path>", "shell of the sandbox")
    .option("--entrypoint <program>", "program that the arguments are for, over the image's")
    .option("--label <KEY=VALUE>", "label; repeatable", collect(parsePair))
    .option(
      "--rlimit <NAME=SOFT[:HARD]>",
      "resource limit of every program; repeatable",
      collect(parseRlimit),
    )
    .option("--max-duration <time>", "stop the sandbox after this time, e.g. 30s or 1h", parseDurationMs)
    .option("--idle-timeout <time>", "stop it when nothing has run in it for this time", parseDurationMs)
    .option("--replace", "take the place of a sandbox of the same name")
    .option("--replace-with-timeout <time>", "--replace with this grace instead of 10s", parseDurationMs)
    .addOption(
      new Option("--pull <policy>", "when to pull the image").choices([
        "always",
        "if-missing",
        "never",
      ] as const),
    )
    .addOption(
      new Option("--engine <engine>", "what runs the VM").choices(["auto", ...ENGINE_NAMES] as const),
    )
    .option("-q, --quiet", "no progress, no warnings");
}

/** What the flags give. */
export type SandboxFlags = ReturnType<ReturnType<typeof withSandboxFlags>["opts"]>;

/** The flag of commands that take an image. */
export function asIsOption() {
  return new Option("--as-is", "use the directory IMAGE itself, read-only: no image is made of it");
}

/** What a sandbox begins with. */
export function originOptions(
  image: string,
  { asIs }: { readonly asIs?: true | undefined },
): Pick<SandboxOptions, "image" | "rootDirectory"> {
  return asIs === true ? { rootDirectory: image } : { image };
}

/** The library's options that the flags stand for. */
export function toSandboxOptions(flags: SandboxFlags): SandboxOptions {
  const grace = flags.replaceWithTimeout;
  return {
    name: flags.name ?? `msb-${randomBytes(4).toString("hex")}`,
    cpus: flags.cpus,
    memoryMiB: flags.memory,
    ...flags.rootDisk,
    env: toEnv(flags),
    workdir: flags.workdir,
    user: flags.user,
    ports: flags.port,
    mounts: toRecord([...(flags.volume ?? []), ...(flags.tmpfs ?? []), ...(flags.mountDisk ?? [])]),
    network: toNetwork(flags),
    hostname: flags.hostname,
    shell: flags.shell,
    entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    labels: toRecord(flags.label),
    rlimits: toRecord(flags.rlimit),
    maxDurationMs: flags.maxDuration,
    idleTimeoutMs: flags.idleTimeout,
    replace: grace === undefined ? flags.replace : { graceMs: grace },
    pullPolicy: flags.pull,
    engine: flags.engine,
  };
}

/** Merges `--env-file` and `--env`; as with Docker, `--env` wins. */
export function toEnv({
  envFile = [],
  env,
}: {
  readonly envFile?: readonly (readonly (readonly [string, string])[])[] | undefined;
  readonly env?: readonly (readonly [string, string])[] | undefined;
}): Readonly<Record<string, string>> | undefined {
  const pairs = [...envFile.flat(), ...(env ?? [])];
  return pairs.length === 0 ? undefined : toRecord(pairs);
}

/** Makes a record of pairs; the last pair of a name wins. */
export function toRecord<T>(
  pairs: readonly (readonly [string, T])[] | undefined,
): Readonly<Record<string, T>> | undefined {
  return pairs === undefined ? undefined : Object.fromEntries(pairs);
}
