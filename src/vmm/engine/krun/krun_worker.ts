/**
 * The thread that becomes the VM: configures libkrun and enters it.
 *
 * @module
 */
import { MicrosandboxError, messageOf } from "../../../base/errors.ts";
import type { KrunContext } from "../../../ffi/krun_context.ts";
import { Libkrun } from "../../../ffi/libkrun.ts";
import { macBytes } from "../../../network/mac_address.ts";
import { ROOT_PORT } from "../../host_protocol.ts";
import { AGENT_PORT, KERNEL_WORDS, type NetworkDevice } from "../engine.ts";
import type { KrunWorkerConfig, KrunWorkerMessage, KrunWorkerRequest } from "./krun_messages.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<KrunWorkerRequest>) => void) | null;
  postMessage(message: KrunWorkerMessage): void;
}
const scope = globalThis as unknown as WorkerScope;

let loading: Promise<Libkrun>;

scope.onmessage = ({ data }) => {
  if (data.type === "load") {
    loading = Libkrun.load(data.libraries);
    loading.catch(() => {}); // boot() reports it
  } else {
    loading.then((libkrun) => boot(libkrun, data.config)).catch(refuse);
  }
};

function refuse(error: unknown): void {
  const known = MicrosandboxError.is(error) ? error : undefined;
  scope.postMessage({
    type: "failed",
    message: known?.summary ?? messageOf(error),
    ...(known === undefined ? {} : { code: known.code }),
    ...(known?.hint === undefined ? {} : { hint: known.hint }),
  });
}

/** Returns only if the VM cannot run. */
function boot(libkrun: Libkrun, config: KrunWorkerConfig): void {
  libkrun.initLog({ fd: -1, level: "warn" }); // standard error, which is the diagnostics file
  const context = libkrun.createContext();
  context.setVmConfig({ cpus: config.cpus, memoryMiB: config.memoryMiB });
  context.setEnv(KERNEL_WORDS);
  context.setConsoleOutput(config.consolePath);
  // No vsock: with it the guest would reach the host's own network by default.
  context.disableImplicitVsock();
  for (const disk of config.disks) context.addDisk(disk);
  if (config.networkDevice !== undefined) addNetworkDevice(context, config.networkDevice);
  const ports = context.addMultiportConsole();
  const addPort = (name: string, path: string) => {
    const socket = libkrun.libc.connectUnixSocket(path);
    context.addConsolePort(ports, name, socket, socket);
  };
  addPort(AGENT_PORT, config.agentSocketPath);
  if (config.rootSocketPath !== undefined) addPort(ROOT_PORT, config.rootSocketPath);
  scope.postMessage({ type: "starting" });
  context.startEnter();
}

function addNetworkDevice(context: KrunContext, device: NetworkDevice): void {
  const mac = macBytes(device.mac);
  if (device.kind === "tap") context.addNetTap({ name: device.tapName, mac });
  else context.addNetUnixstream({ peer: { path: device.socketPath }, mac });
}
