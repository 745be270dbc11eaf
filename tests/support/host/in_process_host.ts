/**
 * A VM host process without its VM, inside the test: the real relay, agent link and log tap, and the guest agent as an
 * ordinary process at the other end of a unix socket.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { totalmem } from "node:os";
import { join } from "node:path";
import { AgentClient, type ConnectOptions } from "../../../src/agent/client.ts";
import type { ExecStart } from "../../../src/agent/exec_session.ts";
import { MiB } from "../../../src/base/bytes.ts";
import { Libc } from "../../../src/ffi/libc.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import { listenUnix } from "../../../src/platform/unix_socket.ts";
import { Activity } from "../../../src/vmm/host/activity.ts";
import { AgentLink } from "../../../src/vmm/host/agent_link.ts";
import { WriteHolds } from "../../../src/vmm/host/hold_writes.ts";
import { LogTap, type TappedSource } from "../../../src/vmm/host/log_tap.ts";
import { Metrics } from "../../../src/vmm/host/metrics.ts";
import {
  Relay,
  type RelayHandlers,
  type RelayNetwork,
  type RelayService,
} from "../../../src/vmm/host/relay.ts";
import type { RelayEgress } from "../../../src/vmm/host/relay_egress.ts";
import { nativeAgentPath } from "../guest/native_agent.ts";
import { temporaryDirectory } from "../harness.ts";
import { MemoryJobs } from "./memory_jobs.ts";

/** What the relay was asked to do, or what was logged, in order. */
export type HostCall =
  | { readonly name: "stop"; readonly graceMs: number }
  | { readonly name: "kill" }
  | { readonly name: "limits" }
  | { readonly name: "drain" }
  | { readonly name: "pause"; readonly on: boolean };

/** One call of the log tap, or of the jobs' log. */
export interface LoggedBytes {
  readonly source: TappedSource | "system";
  readonly sessionId: number;
  /** `undefined` is the end of the stream. */
  readonly text: string | undefined;
}

const NO_GUEST = {
  imageDevice: "",
  imageType: "",
  upperDevice: "",
  upperType: "tmpfs",
  upperOptions: "",
  upperFlags: 0,
  hostname: "",
  hosts: "",
  resolvConf: "",
};

/** What `ExecStart` needs, with defaults. */
export function execStart(argv: readonly string[], options: Partial<ExecStart> = {}): ExecStart {
  return { argv, env: ["PATH=/usr/bin:/bin"], cwd: "/", user: "", rlimits: [], stdin: false, ...options };
}

/** A shell script to run. */
export function script(text: string, options: Partial<ExecStart> = {}): ExecStart {
  return execStart(["sh", "-c", text], options);
}

/** A relay with a guest, or (after `listen`) without one yet. */
export class FakeHost implements AsyncDisposable {
  readonly path: string;
  readonly calls: HostCall[] = [];
  readonly logged: LoggedBytes[] = [];
  readonly relay: Relay;
  readonly jobs: MemoryJobs;
  /** Set by tests of published ports. */
  network: RelayNetwork | undefined;
  /** Set by tests of the guest's network. */
  egress: RelayEgress | undefined;
  /** Whether the guest gets a network namespace of its own, which takes root. To be set before it boots. */
  isNamespaced = false;
  /** What the relay has seen of programs. */
  readonly activity = new Activity({ active: () => {}, busy: () => {}, idle: () => this.#wake() });
  readonly #directory: ReturnType<typeof temporaryDirectory>;
  readonly #clients: AgentClient[] = [];
  #agent: ChildProcess | undefined;
  #link: AgentLink | undefined;
  #wake: () => void = () => {};

  /** Starts a relay and boots a guest behind it. */
  static async start(): Promise<FakeHost> {
    const host = await FakeHost.listen();
    await host.bootGuest();
    return host;
  }

  /** Starts a relay only: what a client meets while the VM boots. */
  static async listen(): Promise<FakeHost> {
    const directory = temporaryDirectory();
    return new FakeHost(directory, await Relay.listen(join(directory.path, "relay.sock")));
  }

  private constructor(directory: ReturnType<typeof temporaryDirectory>, relay: Relay) {
    this.#directory = directory;
    this.path = join(directory.path, "relay.sock");
    this.relay = relay;
    const { logged } = this;
    this.jobs = new MemoryJobs({
      system: (text, sessionId) => void this.logged.push({ source: "system", sessionId, text }),
      flush: () => {},
      get position() {
        return { generation: 1, offsetBytes: logged.length };
      },
    });
  }

  /** Boots the guest; `prepare` comes before clients are served. */
  async bootGuest(
    prepare: (relay: Relay, service: RelayService) => Promise<void> = async () => {},
  ): Promise<void> {
    const path = join(this.#directory.path, "agent.sock");
    const connected = Promise.withResolvers<UnixConnection>();
    const listener = await listenUnix(path, connected.resolve);
    this.#agent = await spawnAgent(path, this.isNamespaced);
    const link = new AgentLink(await connected.promise);
    await listener.close();
    await link.hello();
    await link.boot(NO_GUEST);
    this.#link = link;
    const decoder = new TextDecoder();
    const target = {
      append: (source: TappedSource, sessionId: number, bytes: Uint8Array) =>
        void this.logged.push({ source, sessionId, text: decoder.decode(bytes) }),
      endOfStream: (source: TappedSource, sessionId: number) =>
        void this.logged.push({ source, sessionId, text: undefined }),
    };
    const host = this;
    const service: RelayService = {
      get network() {
        return host.network;
      },
      get egress() {
        return host.egress;
      },
      link,
      activity: this.activity,
      tap: new LogTap(target, 1),
      jobs: this.jobs.jobs,
      handlers: this.#handlers(new WriteHolds(link), this.#metrics(link)),
      sandboxId: "test",
      bootNumber: 1,
    };
    await prepare(this.relay, service);
    this.relay.serve(service);
  }

  /** Of this machine, where the guest is an ordinary process. */
  #metrics(link: AgentLink): Metrics {
    const vm = { pid: this.#agent?.pid, cpuThreadName: /^agent/ };
    const request = { cpus: 1, memoryMiB: Math.ceil(totalmem() / MiB), disks: [], network: undefined };
    return new Metrics({ vm, request, usage: () => link.usage(), processes: () => link.processes() });
  }

  #handlers(holds: WriteHolds, metrics: Metrics): RelayHandlers {
    const called = (call: HostCall) => {
      this.calls.push(call);
      this.#wake();
    };
    return {
      stop: (graceMs) => called({ name: "stop", graceMs }),
      kill: () => called({ name: "kill" }),
      limits: () => called({ name: "limits" }),
      drain: () => called({ name: "drain" }),
      pause: async (on) => {
        called({ name: "pause", on });
        return { on, errno: 0 };
      },
      holdWrites: (client, on, leaseMs) => (on ? holds.hold(client, leaseMs) : holds.release(client)),
      measure: () => metrics.measure(),
      processes: () => metrics.processes(),
      left: (client) => holds.left(client),
    };
  }

  get link(): AgentLink {
    if (this.#link === undefined) throw new Error("the guest is not booted");
    return this.#link;
  }

  /** A client, closed with this host. */
  async connect(options?: ConnectOptions): Promise<AgentClient> {
    const client = await AgentClient.connect(this.path, options);
    this.#clients.push(client);
    return client;
  }

  /** Resolves at the next call of a handler. */
  nextCall(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The process id of the guest's agent. */
  get guestPid(): number {
    if (this.#agent?.pid === undefined) throw new Error("the guest is not booted");
    return this.#agent.pid;
  }

  /** Stops the guest where it is: it hangs. */
  stopGuest(): void {
    this.#signalGuest("SIGSTOP");
  }

  continueGuest(): void {
    this.#signalGuest("SIGCONT");
  }

  /** Deno's `ChildProcess.kill()` sends one signal in its life. */
  #signalGuest(signal: "SIGSTOP" | "SIGCONT"): void {
    if (this.#agent?.pid === undefined) throw new Error("the guest is not booted");
    process.kill(this.#agent.pid, signal);
  }

  /** Ends the guest as a crash would. */
  async killGuest(): Promise<void> {
    if (this.#agent === undefined || this.#agent.exitCode !== null || this.#agent.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#agent?.once("exit", resolve));
    this.#agent.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.relay.close();
    this.#link?.go(); // the agent takes its programs with it
    if (this.#link !== undefined) await this.#link.closed;
    await this.killGuest();
    this.#directory[Symbol.dispose]();
  }
}

let libc: Promise<Libc> | undefined;

/** The agent speaks on a descriptor that it is given: one that is connected to `path`. */
async function spawnAgent(path: string, isNamespaced: boolean): Promise<ChildProcess> {
  libc ??= Libc.load();
  const library = await libc;
  const fd = library.connectUnixSocket(path);
  const script = 'ip link set lo up && exec "$0" --fd 3';
  const [program, args] = isNamespaced
    ? ["unshare", ["--net", "sh", "-c", script, nativeAgentPath()]]
    : [nativeAgentPath(), ["--fd", "3"]];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "ignore", fd] });
  library.closeFile(fd);
  return child;
}
