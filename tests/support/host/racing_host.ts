/**
 * A process that does with a state database what VM host processes do, on command: one JSON text a line in, one out.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../src/base/errors.ts";
import { LineChild } from "../../../src/platform/child.ts";
import { LineQueue } from "../../../src/platform/line_queue.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { SandboxAlreadyExistsError } from "../../../src/state/errors.ts";
import { type BootKey, StateStore } from "../../../src/state/state_store.ts";

export type RacerCommand =
  /** Opens the state database of a home, which may not be there yet. */
  | { readonly type: "open"; readonly home: string }
  /** Claims the names `0` to `count - 1`; answers with those that it got. */
  | { readonly type: "claim"; readonly count: number }
  /** Creates and removes `name`, its directory included, until it has got it `count` times; answers with how many tries. */
  | { readonly type: "cycle"; readonly name: string; readonly count: number }
  /** Claims the boot after `last` of a stopped sandbox; answers with its number, or null. */
  | { readonly type: "start"; readonly last: BootKey };

/** A racer as the test sees it. */
export class Racer implements AsyncDisposable {
  readonly #child: LineChild;

  static async start(): Promise<Racer> {
    const { file, args } = runtimeCommand(new URL(import.meta.url));
    const env = { ...process.env, MSB_TEST_RACER: "1" } as Record<string, string>;
    return new Racer(await LineChild.spawn({ file, args, env, cwd: process.cwd(), stderr: 2 }));
  }

  private constructor(child: LineChild) {
    this.#child = child;
  }

  /** Rejects with what the process says went wrong. */
  async ask(command: RacerCommand): Promise<unknown> {
    this.#child.send(command);
    const line = await this.#child.nextLine();
    const answer: unknown = JSON.parse(line ?? "{}");
    if (typeof answer === "object" && answer !== null && "value" in answer) return answer.value;
    throw new Error(`the racer answered ${line}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.endInput();
    await this.#child.exited;
  }
}

function perform(state: StateStore, command: RacerCommand): unknown {
  const claim = { configJson: "{}", imageDigest: "d", labels: {}, runDirectory: "/r", host: ownProcess() };
  switch (command.type) {
    case "open":
      return state.list({}).length;
    case "claim": {
      const won: number[] = [];
      for (let name = 0; name < command.count; name++) {
        if (unlessTaken(() => state.claimCreate({ ...claim, id: randomUUID(), name: String(name) })))
          won.push(name);
      }
      return won;
    }
    case "cycle":
      return cycle(state, command, claim);
    case "start":
      return state.claimStart(command.last, claim)?.bootNumber ?? null;
  }
}

function cycle(
  state: StateStore,
  { name, count }: { readonly name: string; readonly count: number },
  claim: Omit<Parameters<StateStore["claimCreate"]>[0], "id" | "name">,
): number {
  const place = `${state.home}/${name}`;
  let tries = 0;
  for (let wins = 0; wins < count; tries++) {
    const id = randomUUID();
    const key = unlessTaken(() => state.claimCreate({ ...claim, id, name }));
    if (key === undefined) continue;
    state.whileClaimed(key, () => {
      mkdirSync(place); // fails if a namesake's is there
      writeFileSync(`${place}/owner`, id);
    });
    state.transition(key, "stopped");
    if (readFileSync(`${place}/owner`, "utf8") !== id) throw new Error("the directory became another's");
    if (state.remove(id, { from: place, to: `${place}-${id}` }) !== "removed") throw new Error("not removed");
    if (readFileSync(`${place}-${id}/owner`, "utf8") !== id)
      throw new Error("another's directory was removed");
    rmSync(`${place}-${id}`, { recursive: true });
    wins++;
  }
  return tries;
}

function unlessTaken<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof SandboxAlreadyExistsError) return undefined;
    throw error;
  }
}

async function main(): Promise<void> {
  const lines = new LineQueue();
  process.stdin.on("data", (chunk: Uint8Array) => lines.push(chunk));
  process.stdin.on("end", () => lines.end());
  let state: StateStore | undefined;
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const command = JSON.parse(line) as RacerCommand;
    try {
      if (command.type === "open") {
        state?.close();
        state = new StateStore(command.home);
      }
      if (state === undefined) throw new Error("no state is open");
      process.stdout.write(`${JSON.stringify({ value: perform(state, command) })}\n`);
    } catch (error) {
      process.stdout.write(`${JSON.stringify({ error: messageOf(error) })}\n`);
    }
  }
}

if (process.env["MSB_TEST_RACER"] === "1" && process.argv[1] === fileURLToPath(import.meta.url)) await main();
