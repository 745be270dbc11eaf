/**
 * A real terminal: tmux draws what programs write, and types as a person would.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pollUntil } from "../../src/base/wait.ts";
import { temporaryDirectory } from "./harness.ts";

/** Why there is no such terminal here; `undefined` where there is. */
export const tmuxProblem: string | undefined = existsSync("/usr/bin/tmux")
  ? undefined
  : "tmux is missing: apt-get install tmux";

/** How long something may take to be shown; many times what it takes, except where a VM is emulated twice. */
const SHOWN_TIMEOUT_MS = 90_000;

export interface TmuxOptions {
  /** Added to this process's environment. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
  /** What runs in it, in the language of sh(1). @default an interactive bash with the prompt `$ ` */
  readonly command?: string;
}

/** One terminal, with a tmux server of its own. */
export class Tmux implements Disposable {
  readonly #directory = temporaryDirectory();

  constructor(options: TmuxOptions = {}) {
    const { environment = {}, columns = 100, rows = 30 } = options;
    const { command = "PS1='$ ' exec bash --norc --noprofile -i" } = options;
    const variables = Object.entries(environment).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    const size = ["-x", String(columns), "-y", String(rows)];
    this.#tmux(["-f", "/dev/null", "new-session", "-d", ...variables, ...size, command]);
  }

  /** Types this text. */
  type(text: string): void {
    this.#tmux(["send-keys", "-l", "--", text]);
  }

  /** Presses these keys, in the words of tmux(1): `C-c`, `Enter`, `Up`. */
  press(...keys: readonly string[]): void {
    this.#tmux(["send-keys", ...keys]);
  }

  /** Types a line and ends it. */
  enter(line: string): void {
    this.type(line);
    this.press("Enter");
  }

  /** Gives the terminal another size. */
  resize(columns: number, rows: number): void {
    this.#tmux(["resize-window", "-x", String(columns), "-y", String(rows)]);
  }

  /** What is shown now, without empty lines at the end. */
  screen(): string {
    return this.#tmux(["capture-pane", "-p"]).trimEnd();
  }

  /** A variable of tmux's formats, such as `alternate_on` or `cursor_flag`. */
  variable(name: string): string {
    return this.#tmux(["display-message", "-p", `#{${name}}`]).trim();
  }

  /** The process in the foreground of the terminal, which a shell has started as a job. */
  foreground(): string {
    const tty = this.variable("pane_tty").replace("/dev/", "");
    const { stdout } = spawnSync("ps", ["-t", tty, "-o", "pid=,stat="], { encoding: "utf8" });
    const line = stdout.split("\n").find((text) => /\d+ +\S*\+/.test(text)) ?? "";
    return line.trim().split(" ")[0] ?? "";
  }

  /** Waits until the screen shows this, and gives what it shows. */
  async shows(wanted: string | RegExp): Promise<string> {
    return await this.#waitFor(`shows ${wanted}`, () =>
      typeof wanted === "string" ? this.screen().includes(wanted) : wanted.test(this.screen()),
    );
  }

  /** Waits until {@linkcode variable} has that value. */
  async has(name: string, value: string): Promise<void> {
    await this.#waitFor(`has ${name} ${value}`, () => this.variable(name) === value);
  }

  /** Waits until the terminal itself is in a person's mode, or in raw mode. */
  async isRaw(wanted: boolean): Promise<void> {
    await this.#waitFor(wanted ? "is in raw mode" : "is not in raw mode", () => this.isRawNow() === wanted);
  }

  isRawNow(): boolean {
    const words = this.mode().split(/[\s;]+/);
    return ["-icanon", "-echo", "-isig", "-opost"].every((word) => words.includes(word));
  }

  /** What stty(1) says of the terminal, but for its size. */
  mode(): string {
    const { stdout } = spawnSync("stty", ["-a", "-F", this.variable("pane_tty")], { encoding: "utf8" });
    return stdout.replace(/rows \d+; columns \d+; /, "");
  }

  [Symbol.dispose](): void {
    spawnSync("tmux", ["-S", this.#socket, "kill-server"]);
    this.#directory[Symbol.dispose]();
  }

  async #waitFor(what: string, look: () => boolean): Promise<string> {
    const found = await pollUntil(look, { everyMs: 20, timeoutMs: SHOWN_TIMEOUT_MS });
    assert.ok(found, `waited in vain until the terminal ${what}; it shows:\n${this.screen()}`);
    return this.screen();
  }

  get #socket(): string {
    return join(this.#directory.path, "tmux");
  }

  #tmux(words: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync("tmux", ["-S", this.#socket, ...words], {
      encoding: "utf8",
    });
    assert.equal(status, 0, `tmux ${words.join(" ")}: ${stderr}`);
    return stdout;
  }
}
