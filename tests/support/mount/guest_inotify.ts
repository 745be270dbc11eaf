/** What a program in a mount is told by inotify. @module */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./inotify.py", import.meta.url));
const WAIT_MS = 40_000;

/** A program that watches directories. Disposing it ends it. */
export class GuestInotify implements Disposable {
  /** All that it was told, e.g. `"CREATE /mnt/a"`. */
  readonly events: string[] = [];
  readonly #child: ChildProcess;
  #output = "";
  #wake: () => void = () => {};

  private constructor(directories: readonly string[]) {
    this.#child = spawn("python3", [PROGRAM, ...directories], {
      stdio: ["ignore", "pipe", "inherit"],
      cwd: "/",
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#output + text).split("\n");
      this.#output = lines.pop() ?? "";
      this.events.push(...lines);
      this.#wake();
    });
  }

  static async start(...directories: readonly string[]): Promise<GuestInotify> {
    const inotify = new GuestInotify(directories);
    await inotify.until("ready");
    inotify.events.length = 0;
    return inotify;
  }

  /** Waits until it is told `event`. */
  async until(event: string): Promise<void> {
    const late = AbortSignal.timeout(WAIT_MS);
    while (!this.events.includes(event)) {
      if (late.aborted) throw new Error(`no ${event}, but ${this.events.join(", ")}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
