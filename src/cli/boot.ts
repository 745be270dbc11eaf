/**
 * What is told while a sandbox comes up.
 *
 * @module
 */
import type { BootCallOptions, CreateStep } from "../../mod.ts";
import type { CliContext } from "./context.ts";
import { showProgress } from "./progress.ts";

/** What goes on until the next step is reached. */
const NEXT: Readonly<Partial<Record<CreateStep, string>>> = {
  image: "Preparing",
  engine: "Booting",
  agent: "Mounting",
};

/** Runs `boot` with a view of how it gets on, which is gone when it is done. */
export async function withBootProgress<T>(
  cli: CliContext,
  { quiet }: { readonly quiet?: true | undefined },
  boot: (call: BootCallOptions) => Promise<T>,
): Promise<T> {
  cli.warnings.isMuted = quiet === true;
  using progress = showProgress(cli.stderr, { quiet });
  return await boot({
    signal: cli.signal,
    onPullProgress: progress.pull,
    onStep: (step) => {
      const next = NEXT[step];
      if (next !== undefined) progress.step(next);
    },
  });
}
