/**
 * What one exec costs beyond the guest's own fork and exec: `exec()` of a program that does nothing, less what a C
 * program in the same guest needs to fork, exec and wait for the same program. Ours is a median; the guest's a mean,
 * since an emulated guest's clock may tick only every 4 ms.
 *
 * @module
 */
import { Sandbox } from "../../mod.ts";
import { type Figure, sample } from "../support/figures.ts";

const OVERHEAD_MS_MAX = 5;
const WARM_UP = 10;
const NS_PER_MS = 1_000_000;

/** `image` has `/bin/true` and `/bin/fork_exec`. */
export async function measureExec(engine: "krun" | "qemu", image: string, count: number): Promise<Figure> {
  const sandbox = await Sandbox.create({
    name: `bench-exec-${engine}`,
    image,
    memoryMiB: 256,
    engine,
    replace: true,
  });
  try {
    const ours: number[] = [];
    for (let number = 0; number < WARM_UP + count; number++) {
      const begin = performance.now();
      const { success } = await sandbox.exec("/bin/true");
      if (!success) throw new Error("true has failed");
      if (number >= WARM_UP) ours.push(performance.now() - begin);
    }
    const guest = await sandbox.exec("/bin/fork_exec", [String(count), "/bin/true"]);
    const guestMs = guest
      .stdout()
      .trim()
      .split("\n")
      .map((line) => Number(line) / NS_PER_MS);
    const pings: number[] = [];
    for (let number = 0; number < count; number++) pings.push((await sandbox.ping()).latencyMs);
    const oursMs = sample(ours);
    const guestMeanMs = guestMs.reduce((total, milliseconds) => total + milliseconds, 0) / guestMs.length;
    return {
      name: `exec of true beyond fork and exec (${engine})`,
      value: oursMs.median - guestMeanMs,
      unit: "ms",
      limit: { kind: "at most", value: OVERHEAD_MS_MAX },
      detail: {
        oursMs: withoutRuns(oursMs),
        guestMeanMs,
        /** The same way there and back, without a program. */
        pingMs: withoutRuns(sample(pings)),
        count,
      },
    };
  } finally {
    await sandbox.kill();
    await Sandbox.remove(`bench-exec-${engine}`);
  }
}

function withoutRuns({ median, least, most }: ReturnType<typeof sample>): Record<string, number> {
  return { median, least, most };
}
