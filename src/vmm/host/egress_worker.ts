/**
 * The Worker that decides about the guest's connections and carries them. It speaks to the guest's agent as any client of
 * this process does.
 *
 * @module
 */
import { AgentClient } from "../../agent/client.ts";
import { MicrosandboxError, messageOf } from "../../base/errors.ts";
import type { EgressConfig } from "../../egress/config.ts";
import { Egress } from "../../egress/egress.ts";
import type { FlowEntry } from "../../egress/flows/flow_log.ts";
import { AgentGuestLink, GUEST_ADDRESSES, type Traffic } from "../../egress/guest/guest_link.ts";
import { installTrust, loadInterceptor } from "../../egress/guest/guest_setup.ts";
import type { Interceptor } from "../../egress/interceptor.ts";
import { Libc } from "../../ffi/libc.ts";
import type { EgressWorkerMessage, EgressWorkerRequest } from "./egress_messages.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<EgressWorkerRequest>) => void) | null;
  postMessage(message: EgressWorkerMessage): void;
}
const scope = globalThis as unknown as WorkerScope;

type StartRequest = Extract<EgressWorkerRequest, { readonly type: "start" }>;

let egress: Egress | undefined;
/** Updates are done one after the other: the last one holds. */
let updated: Promise<void> = Promise.resolve();
let interceptor: Interceptor | undefined;
let written = Promise.withResolvers<void>();

scope.onmessage = ({ data }) => {
  switch (data.type) {
    case "start":
      start(data).catch(fail);
      return;
    case "update":
      updated = updated.then(() => update(data.token, data.config));
      return;
    case "written":
      written.resolve();
      return;
  }
};
scope.postMessage({ type: "loaded" });

function fail(error: unknown): void {
  const known = MicrosandboxError.is(error) ? error : undefined;
  const message = known?.summary ?? messageOf(error);
  scope.postMessage({ type: "failed", message, code: known?.code, hint: known?.hint });
}

async function start({ socketPath, config, traffic }: StartRequest): Promise<void> {
  if (holdsSecrets(config)) (await Libc.load()).forbidDumps();
  const client = await AgentClient.connect(socketPath);
  interceptor = await loadInterceptor(config);
  const link = await AgentGuestLink.open(client, GUEST_ADDRESSES, counting(traffic));
  const started = new Egress({
    link,
    config,
    ...(interceptor === undefined ? {} : { interceptor }),
    flowSink: { write: log },
    onTerminate: (reason) => scope.postMessage({ type: "terminate", reason }),
  });
  egress = started;
  scope.postMessage({ type: "started", variables: await installTrust(client, config) });
  await link.closed;
  await started.close();
  client.close();
  scope.postMessage({ type: "ended" });
}

/** Whether it has values, or the key that signs for any name: no core dump and no debugger of the same user may get them. */
function holdsSecrets({ tls, secrets }: EgressConfig): boolean {
  return tls !== undefined || secrets.length > 0;
}

/** Counts where the main thread sees it. */
function counting(shared: SharedArrayBuffer): Traffic {
  const totals = new Float64Array(shared);
  const add = (index: number, bytes: number) => {
    totals[index] = (totals[index] ?? 0) + bytes;
  };
  return { received: (bytes) => add(0, bytes), sent: (bytes) => add(1, bytes) };
}

async function update(token: number, config: EgressConfig): Promise<void> {
  let problem = "";
  try {
    if (egress === undefined) throw new Error("the network has not started");
    interceptor ??= await loadInterceptor(config);
    egress.update(config, interceptor);
  } catch (error) {
    problem = messageOf(error);
  }
  scope.postMessage({ type: "updated", token, problem });
}

async function log(entries: readonly FlowEntry[], lostCount: number): Promise<void> {
  written = Promise.withResolvers<void>();
  scope.postMessage({ type: "flows", entries, lostCount });
  await written.promise;
}
