/**
 * A guest with a kernel and programs of its own, without a VM: a network namespace whose way out is an `Egress` with rules.
 * Servers are real ones on loopback, each behind a name and an address of the guest's world.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { connect, createServer } from "node:net";
import { pollUntil } from "../../../src/base/wait.ts";
import type { EgressConfig } from "../../../src/egress/config.ts";
import { Egress } from "../../../src/egress/egress.ts";
import type { FlowEnd } from "../../../src/egress/flow.ts";
import type { FlowEntry } from "../../../src/egress/flows/flow_log.ts";
import type { Interceptor } from "../../../src/egress/interceptor.ts";
import { configOf } from "./core.ts";
import { GuestNetwork, guestNetworkProblem } from "./guest_network.ts";
import { a, startNameServer, zoneOf } from "./name_server.ts";

/** How long a server may take until it listens: this machine may have much to do. */
const SERVER_MS_MAX = 40_000;

/** Why a test that needs these programs cannot run here; `undefined` where it can. */
export function programsMissing(...programs: readonly string[]): string | undefined {
  const missing = programs.find((program) => spawnSync(program, ["--version"]).error !== undefined);
  return guestNetworkProblem ?? (missing === undefined ? undefined : `needs ${missing}`);
}

/** A guest that runs, and what was decided about it. */
export interface RealGuest extends AsyncDisposable {
  readonly network: GuestNetwork;
  readonly egress: Egress;
  /** Complete when the guest is closed. */
  readonly entries: FlowEntry[];
  /** Runs a program, which must succeed; returns what it wrote, without the last line end. */
  run(...argv: readonly string[]): Promise<string>;
}

export async function startGuest(
  config: EgressConfig,
  more: { readonly route?: (end: FlowEnd) => FlowEnd; readonly interceptor?: Interceptor } = {},
): Promise<RealGuest> {
  const network = await GuestNetwork.start();
  const entries: FlowEntry[] = [];
  const flowSink = {
    async write(batch: readonly FlowEntry[]) {
      entries.push(...batch);
    },
  };
  const egress = new Egress({ link: network.link, config, flowSink, ...more });
  return {
    network,
    egress,
    entries,
    async run(...argv) {
      const { code, stdout } = await network.run(...argv);
      if (code !== 0) throw new Error(`${argv[0]} in the guest exited with ${code}:\n${stdout}`);
      return stdout.trimEnd();
    },
    async [Symbol.asyncDispose]() {
      await egress.close();
      await network[Symbol.asyncDispose]();
    },
  };
}

/**
 * Starts a guest that may reach these services and nothing else.
 *
 * @param services By name and port in the guest's world, the port on loopback: `{ "db.example:5432": 40123 }`.
 */
export async function startGuestOf(
  services: Readonly<Record<string, number>>,
  more: Partial<EgressConfig> & { readonly interceptor?: (config: EgressConfig) => Interceptor } = {},
): Promise<RealGuest> {
  const { interceptor, ...changes } = more;
  const names = [...new Set(Object.keys(services).map((service) => service.replace(/:\d+$/, "")))];
  const addressOf = (name: string) => `93.184.216.${10 + names.indexOf(name)}`;
  const ports = new Map(
    Object.entries(services).map(([service, port]) => {
      const [name = "", guestPort] = service.split(":");
      return [`${addressOf(name)}:${guestPort}`, port];
    }),
  );
  const resolver = await startNameServer(zoneOf(names.map((name) => a(name, addressOf(name)))));
  const dns = { nameservers: [`127.0.0.1:${resolver.port}`], rebindProtection: true, queryTimeoutMs: 5_000 };
  const config = configOf(Object.keys(services), { dns, ...changes });
  const guest = await startGuest(config, {
    ...(interceptor === undefined ? {} : { interceptor: interceptor(config) }),
    route: ({ address, port }) => ({ address: "127.0.0.1", port: ports.get(`${address}:${port}`) ?? 1 }),
  });
  return {
    ...guest,
    async [Symbol.asyncDispose]() {
      await guest[Symbol.asyncDispose]();
      await resolver[Symbol.asyncDispose]();
    },
  };
}

/** A port of loopback that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

/** A program that serves until it is disposed of. */
export interface ServerProgram extends AsyncDisposable {
  readonly port: number;
}

/**
 * Starts a server program; resolves when it listens on `port`.
 *
 * @param signal What ends it. @default {"SIGTERM"}
 */
export async function startServer(
  port: number,
  argv: readonly [string, ...string[]],
  signal: NodeJS.Signals = "SIGTERM",
): Promise<ServerProgram> {
  const [file, ...words] = argv;
  const child: ChildProcess = spawn(file, words, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const take = (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-4096);
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  let hasEnded = false;
  const exit = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true;
      resolve();
    };
    child.once("exit", end);
    child.once("error", end);
  });
  const stop = async () => {
    child.kill(signal);
    await exit;
  };
  const isReady = async () => hasEnded || (await listens(port));
  const inTime = await pollUntil(isReady, { everyMs: 20, timeoutMs: SERVER_MS_MAX });
  if (!inTime || hasEnded) {
    await stop();
    throw new Error(`${file} does not serve:\n${said}`);
  }
  return { port, [Symbol.asyncDispose]: stop };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
