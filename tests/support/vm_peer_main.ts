/**
 * A program that uses sandboxes on command: the other process of tests that need one. One JSON request a line on
 * standard input, one answer a line on standard output; at the end of input it ends as any program would.
 *
 * @module
 */
import { createInterface } from "node:readline";
import { MicrosandboxError, Sandbox } from "../../mod.ts";
import type { PeerAnswer, PeerRequest } from "./vm_peer.ts";

const owned = new Map<string, Sandbox>();

async function perform(request: PeerRequest): Promise<string> {
  switch (request.action) {
    case "create": {
      const sandbox = await Sandbox.create(request.options);
      owned.set(sandbox.name, sandbox);
      return sandbox.id;
    }
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
