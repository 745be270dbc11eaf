/**
 * A process that swaps a directory for a symbolic link and back, as fast as it can: what another process of the host may do
 * while a tree is copied.
 *
 * @module
 */
import { lstatSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { LineChild } from "../../../src/platform/child.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";

const SWAPS_PER_LOOK = 100;

/** Starts it: `directory` is now there and now a link to `elsewhere`, until it is disposed of. */
export async function startSwapping(directory: string, elsewhere: string): Promise<AsyncDisposable> {
  const { file, args } = runtimeCommand(new URL(import.meta.url));
  const env = { ...process.env, MSB_TEST_SWAPPING: "1" } as Record<string, string>;
  const child = await LineChild.spawn({
    file,
    args: [...args, directory, elsewhere],
    env,
    cwd: "/",
    stderr: 2,
  });
  if ((await child.nextLine()) !== "swapping") throw new Error("the swapping program did not start");
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.exited;
    },
  };
}

async function main(directory: string, elsewhere: string): Promise<void> {
  const [real, link] = [`${directory}.real`, `${directory}.link`];
  process.stdout.write("swapping\n");
  for (;;) {
    for (let swap = 0; swap < SWAPS_PER_LOOK; swap++) {
      move(directory, real);
      if (!existsAsLink(link)) symlinkSync(elsewhere, link);
      move(link, directory);
      move(directory, link);
      move(real, directory);
    }
    await new Promise((resolve) => setTimeout(resolve)); // for the end of standard input to be heard
  }
}

/** The other side makes directories of that name, too: those are removed, and sometimes it is quicker than that. */
function move(from: string, to: string): void {
  for (const attempt of [() => renameSync(from, to), () => rmSync(to, { recursive: true, force: true })]) {
    try {
      return attempt();
    } catch {
      // the next round tries again
    }
  }
}

function existsAsLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

if (process.env["MSB_TEST_SWAPPING"] === "1") {
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
  await main(process.argv[2] ?? "", process.argv[3] ?? "");
}
