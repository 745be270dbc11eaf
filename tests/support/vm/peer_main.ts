/**
 * A program that uses sandboxes on command: the other process of tests that need one. One JSON request a line on
 * standard input, one answer a line on standard output; at the end of input it ends as any program would.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { type CreateStep, MicrosandboxError, Sandbox, type SandboxOptions } from "../../../mod.ts";
import type { PeerAnswer, PeerRequest } from "./peer.ts";

const owned = new Map<string, Sandbox>();

/** A creation that has begun, with what takes it back. */
let claim:
  | { readonly abort: AbortController; readonly created: Promise<Sandbox>; step: CreateStep | undefined }
  | undefined;

/** Resolves when the VM host process has the name; of an engine that boots nothing, that is as far as it goes. */
async function claimName(options: SandboxOptions): Promise<void> {
  const abort = new AbortController();
  const claimed = Promise.withResolvers<void>();
  const onStep = (step: CreateStep) => {
    if (claim !== undefined) claim.step = step;
    if (step === "kernel") claimed.resolve();
  };
  const created = Sandbox.create(options, { signal: abort.signal, onStep });
  claim = { abort, created, step: undefined };
  await Promise.race([claimed.promise, created]);
}

async function perform(request: PeerRequest): Promise<string> {
  switch (request.action) {
    case "create": {
      const sandbox = await Sandbox.create(request.options);
      owned.set(sandbox.name, sandbox);
      return sandbox.id;
    }
    case "claim":
      await claimName(request.options);
      return "";
    case "giveUp":
      claim?.abort.abort();
      await claim?.created.catch(() => {}); // it was aborted, or had lost
      return claim?.step ?? "";
    case "start": {
      const sandbox = await Sandbox.start(request.name);
      owned.set(sandbox.name, sandbox);
      return sandbox.id;
    }
    case "detach":
      await owned.get(request.name)?.detach();
      return "";
    case "exec": {
      const [command = "", ...args] = request.argv;
      const sandbox = owned.get(request.name) ?? (await (await Sandbox.get(request.name)).connect());
      return (await sandbox.exec(command, args)).stdout();
    }
    case "startJob": {
      const [command = "", ...args] = request.argv;
      const sandbox = await (await Sandbox.get(request.name)).connect();
      return (await sandbox.startJob({ command, args, name: request.job, stdin: request.stdin })).id;
    }
    case "stop":
      await (await Sandbox.get(request.name)).stop();
      return "";
    case "exit":
      process.exit(0);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer: PeerAnswer;
  try {
    answer = { value: await perform(JSON.parse(line)) };
  } catch (error) {
    answer = { code: MicrosandboxError.is(error) ? error.code : "unknown", message: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
