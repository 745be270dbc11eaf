/**
 * A VM host process without a VM: the real registry, relay and stop sequence in a process of their own, with an agent
 * that answers at once. For tests that need many boots, and processes that can be killed.
 *
 * Run as a program, it takes one {@linkcode HostOrder} as a line on its standard input, and answers with one line.
 *
 * @module
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeMessage, encodeMessage } from "../../src/agent/codec.ts";
import { FrameDecoder } from "../../src/agent/frame.ts";
import { LineChild } from "../../src/platform/child.ts";
import { LineQueue } from "../../src/platform/line_queue.ts";
import { ownProcess } from "../../src/platform/process_identity.ts";
import { runtimeCommand } from "../../src/platform/runtime.ts";
import { connectUnix, listenUnix, type UnixConnection } from "../../src/platform/unix_socket.ts";
import { SandboxAlreadyExistsError } from "../../src/registry/errors.ts";
import { type BootKey, Registry } from "../../src/registry/registry.ts";
import { AgentLink } from "../../src/vmm/agent_link.ts";
import { LogTap } from "../../src/vmm/log_tap.ts";
import { Relay } from "../../src/vmm/relay.ts";
import { createRunDirectory } from "../../src/vmm/run_directories.ts";
import { RunFile, removeRunDirectory } from "../../src/vmm/run_directory.ts";
import { StopSequence } from "../../src/vmm/stop_sequence.ts";
import { Supervision } from "../../src/vmm/supervision.ts";
import { storedConfig } from "./stored_config.ts";

/** Which sandbox the process is to be. */
export interface HostOrder {
  readonly home: string;
  readonly runDirectory: string;
  readonly sandbox:
    | { readonly kind: "create"; readonly id: string; readonly name: string }
    | { readonly kind: "start"; readonly id: string };
  /** Whether it stays as it is after the claim: a boot that hangs. */
  readonly hangs: boolean;
  /** Whether it goes on when the process that started it has ended. */
  readonly detached: boolean;
}

const REFUSED = { on: false, errno: 1 };

/** The file in a sandbox's directory that says whose it is. */
export const OWNER_FILE = "owner";

/** Starts a host process; resolves with whether it got the boot, once it is ready or hangs. */
export async function startHost(order: Omit<HostOrder, "runDirectory">): Promise<boolean> {
  const runDirectory = createRunDirectory(order.home);
  const { file, args } = runtimeCommand(new URL(import.meta.url));
  const env = { ...process.env, MSB_TEST_HOST: "1" } as Record<string, string>;
  const child = await LineChild.spawn({ file, args: [...args, order.home], env, cwd: order.home, stderr: 2 });
  child.send({ ...order, runDirectory } satisfies HostOrder);
  const answer = await child.nextLine(); // none if it was killed meanwhile
  child.release();
  if (answer === "claimed") return true;
  rmSync(runDirectory, { recursive: true, force: true }); // as whoever starts a VM does
  return false;
}

async function main(order: HostOrder, ownerGone: Promise<void>): Promise<void> {
  const { home, runDirectory } = order;
  const registry = new Registry(home);
  const stop = new StopSequence(registry, runDirectory);
  const supervision = new Supervision(registry, stop);
  const relay = new Relay(
    {
      stop: (graceMs) => stop.begin("requested", graceMs),
      kill: () => stop.kill("killed"),
      limits: (fields) => supervision.setLimits(fields),
      drain: () => supervision.drain(),
      // Nothing here can stand still.
      pause: async () => REFUSED,
      freeze: async () => REFUSED,
      left: () => {},
    },
    supervision.activity,
  );
  await relay.listen(join(runDirectory, RunFile.relay));
  const key = claim(registry, order);
  if (key === undefined) return answer("refused");
  if (order.sandbox.kind === "create") placeDirectory(registry, key, order.sandbox.name);
  let isBooting = true;
  if (!order.detached) {
    ownerGone.then(() => {
      if (!isBooting) return stop.begin("ownerGone", 100);
      removeRunDirectory(runDirectory);
      process.exit(1); // a creation that is not finished is taken back by whoever looks next
    });
  }
  if (order.hangs) return answer("claimed");

  const link = await agentLink(join(runDirectory, RunFile.agent));
  relay.open(link, new LogTap({ append: () => {}, endOfStream: () => {} }, key.bootNumber), {
    sandboxId: key.id,
    bootNumber: key.bootNumber,
  });
  stop.open(link, relay, key);
  isBooting = false;
  supervision.begin(key, { maxDurationMs: undefined, idleTimeoutMs: undefined }, 100);
  answer("claimed");
}

function claim(registry: Registry, { sandbox, runDirectory }: HostOrder): BootKey | undefined {
  const host = ownProcess();
  if (sandbox.kind === "start") return registry.claimStart(sandbox.id, { runDirectory, host });
  const { id, name } = sandbox;
  try {
    const configJson = storedConfig(name);
    return registry.claimCreate({ id, name, configJson, imageDigest: "", labels: {}, runDirectory, host });
  } catch (error) {
    if (error instanceof SandboxAlreadyExistsError) return undefined;
    throw error;
  }
}

function placeDirectory(registry: Registry, key: BootKey, name: string): void {
  registry.whileClaimed(key, () => {
    const directory = join(registry.home, "sandboxes", name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, OWNER_FILE), key.id);
  });
}

/** A link to an agent that has nothing to do, and does that at once. */
async function agentLink(path: string): Promise<AgentLink> {
  const accepted = Promise.withResolvers<UnixConnection>();
  const listener = await listenUnix(path, accepted.resolve);
  const guest = await connectUnix(path);
  const decoder = new FrameDecoder();
  guest.onData((chunk) => {
    for (const frame of decoder.feed(chunk)) {
      const message = decodeMessage(frame);
      if (message?.name === "shutdown") guest.send(encodeMessage("flushed", 0, { clean: 1 }));
      if (message?.name === "ping") guest.send(encodeMessage("pong", 0, { token: message.fields.token }));
    }
  });
  const link = new AgentLink(await accepted.promise);
  await listener.close();
  return link;
}

function answer(text: "claimed" | "refused"): void {
  process.stdout.write(`${text}\n`, () => {
    if (text === "refused") process.exit(0);
  });
}

if (process.env["MSB_TEST_HOST"] === "1" && import.meta.main) {
  const lines = new LineQueue();
  process.stdin.on("data", (chunk: Uint8Array) => lines.push(chunk));
  process.stdin.on("end", () => lines.end());
  process.stdout.on("error", () => {}); // nobody listens any more
  const line = await lines.next();
  if (line === undefined) process.exit(1);
  await main(
    JSON.parse(line) as HostOrder,
    lines.next().then(() => {}),
  );
}
