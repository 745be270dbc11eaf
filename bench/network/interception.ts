/**
 * Speed of interception: what it adds to a request on a kept connection, and how fast bodies pass the secret proxy. Server,
 * client and interceptor are a process each, on loopback; pairs with and without the interceptor follow each other.
 *
 * The limits apply to the processor time of the interceptor's process, which other work on the machine hardly changes. The time on
 * the clock is shown beside it.
 *
 * @module
 */
import { execFile, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { MiB } from "../../src/base/bytes.ts";
import { InterceptingListener } from "../../tests/support/egress/intercepting_listener.ts";
import {
  originAuthority,
  originCertificate,
  sandboxAuthority,
  tlsConfig,
} from "../../tests/support/egress/origin.ts";
import { secret } from "../../tests/support/egress/secrets.ts";
import { temporaryBenchDirectory } from "../support/directories.ts";
import { type Figure, sample } from "../support/figures.ts";

const run = promisify(execFile);
const PEER = fileURLToPath(new URL("./interception_peer.ts", import.meta.url));
/** The peers run on the same runtime. */
const PREFIX = "Bun" in globalThis ? [PEER] : ["run", "--allow-all", "--no-check", PEER];
const REQUESTS = 1000;
const BODY_MIB = 256;

/** A sandbox's usual secrets: one for the server, and four for others, which are looked for in all that is sent. */
const SECRETS = [
  secret("KEY"),
  ...["ONE", "TWO", "THREE", "FOUR"].map((name) => secret(name, { allowedHosts: ["other.example"] })),
];

/** What interception of TLS adds to a request on a kept connection. */
export async function measureTls(rounds: number): Promise<Figure[]> {
  using directory = temporaryBenchDirectory();
  await using peers = await Peers.start(directory.path, true);
  const added: number[] = [];
  const busy: number[] = [];
  const detail: { direct: number; intercepted: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const direct = await peers.client("latency", "direct", REQUESTS);
    const before = processorMs();
    const intercepted = await peers.client("latency", "intercepted", REQUESTS);
    busy.push((processorMs() - before) / (REQUESTS + REQUESTS / 4)); // the warm ones, too
    added.push(intercepted - direct);
    detail.push({ direct, intercepted });
  }
  return [
    {
      name: "interception of TLS: processor time for a request on a kept connection",
      value: sample(busy).median,
      unit: "ms",
      limit: { kind: "at most", value: 1 },
      detail: { busy },
    },
    {
      name: "interception of TLS: added to a request on a kept connection, by the clock",
      value: sample(added).median,
      unit: "ms",
      detail: { rounds: detail },
    },
  ];
}

/** How fast bodies pass the proxy with secrets to look for and none to put in. */
export async function measureSecrets(rounds: number): Promise<Figure[]> {
  using directory = temporaryBenchDirectory();
  const figures: Figure[] = [];
  for (const isSecure of [false, true]) {
    await using peers = await Peers.start(directory.path, isSecure);
    for (const role of ["upload", "download"] as const)
      figures.push(...(await measureBodies(peers, role, isSecure, rounds)));
  }
  return figures;
}

async function measureBodies(
  peers: Peers,
  role: "upload" | "download",
  isSecure: boolean,
  rounds: number,
): Promise<Figure[]> {
  const direct: number[] = [];
  const intercepted: number[] = [];
  const perBusySecond: number[] = [];
  for (let round = 0; round < rounds; round++) {
    direct.push(await peers.client(role, "direct", BODY_MIB));
    const before = processorMs();
    intercepted.push(await peers.client(role, "intercepted", BODY_MIB));
    perBusySecond.push((BODY_MIB * MiB) / 1000 / (processorMs() - before));
  }
  const name = `${role} of ${BODY_MIB} MiB through the secret proxy${isSecure ? ", TLS on both sides" : ""}`;
  const timesDirect = sample(intercepted).median / sample(direct).median;
  return [
    {
      name: `${name}: for a second of processor time`,
      value: sample(perBusySecond).median,
      unit: "MB",
      limit: isSecure ? undefined : { kind: "at least", value: 200 },
      detail: { perBusySecond },
    },
    {
      name: `${name}: by the clock`,
      value: sample(intercepted).median,
      unit: "MB/s",
      detail: { direct, intercepted, timesDirect },
    },
  ];
}

/** What this process has used of the processors. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A server, and a listener that intercepts connections to it. */
class Peers implements AsyncDisposable {
  readonly #listener: InterceptingListener;
  readonly #server: ReturnType<typeof spawn>;
  readonly #serverPort: number;
  readonly #authorities: { readonly direct: string; readonly intercepted: string };

  private constructor(
    listener: InterceptingListener,
    server: ReturnType<typeof spawn>,
    serverPort: number,
    authorities: { readonly direct: string; readonly intercepted: string },
  ) {
    this.#listener = listener;
    this.#server = server;
    this.#serverPort = serverPort;
    this.#authorities = authorities;
  }

  static async start(directory: string, isSecure: boolean): Promise<Peers> {
    const file = (name: string, text: string): string => {
      const path = join(directory, name);
      writeFileSync(path, text);
      return path;
    };
    const { key, cert } = originCertificate("api.example");
    const words = isSecure ? ["server", file("key.pem", key), file("cert.pem", cert)] : ["server", "-", "-"];
    const server = spawn(process.execPath, [...PREFIX, ...words], { stdio: ["ignore", "pipe", "inherit"] });
    const serverPort = await new Promise<number>((resolve) =>
      createInterface({ input: server.stdout }).once("line", (line) => resolve(Number(line))),
    );
    const secrets = isSecure ? SECRETS : SECRETS.map((one) => ({ ...one, requireTlsIdentity: false }));
    const tls = isSecure ? tlsConfig() : undefined;
    const guestPort = isSecure ? 443 : 80;
    const listener = await InterceptingListener.open({ tls, secrets, serverPort, guestPort });
    const authorities = isSecure
      ? {
          direct: file("origin.pem", originAuthority.certificate),
          intercepted: file("sandbox.pem", sandboxAuthority.certificate),
        }
      : { direct: "-", intercepted: "-" };
    return new Peers(listener, server, serverPort, authorities);
  }

  /** What a client measures. */
  async client(role: string, way: "direct" | "intercepted", amount: number): Promise<number> {
    const port = way === "direct" ? this.#serverPort : this.#listener.port;
    const words = [role, String(port), this.#authorities[way], String(amount)];
    const { stdout } = await run(process.execPath, [...PREFIX, ...words]);
    return Number(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
    this.#server.kill("SIGKILL");
  }
}
