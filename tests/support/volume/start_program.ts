/** Runs a program of this directory until it is killed. @module */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { runtimeCommand } from "../../../src/platform/runtime.ts";

/** A program that is ready. */
export class VolumeProgram {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when it says that it is ready. */
  static start(home: string, ...words: readonly string[]): Promise<VolumeProgram> {
    return VolumeProgram.#start("volume_program.ts", home, words);
  }

  /** {@linkcode start} of one that creates a sandbox of `image`. */
  static startCreating(home: string, image: string): Promise<VolumeProgram> {
    return VolumeProgram.#start("create_program.ts", home, [image]);
  }

  static async #start(name: string, home: string, words: readonly string[]): Promise<VolumeProgram> {
    const { file, args } = runtimeCommand(new URL(name, import.meta.url));
    const child = spawn(file, [...args, home, ...words], { stdio: ["ignore", "pipe", "inherit"] });
    const program = new VolumeProgram(child);
    const ended = once(child, "exit").then(() => Promise.reject(new Error("it ended too soon")));
    ended.catch(() => {});
    if (child.stdout !== null) await Promise.race([once(child.stdout, "data"), ended]);
    return program;
  }

  /** Ends it as a crash does, and waits until it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}
