/** The terminal of a process, in a real one. @module */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { HostTerminal } from "../../../src/platform/terminal.ts";
import { test } from "../../support/harness.ts";
import { Tmux, tmuxProblem } from "../../support/tmux.ts";

const FIXTURE = fileURLToPath(new URL("./terminal_fixture.ts", import.meta.url));
const COMMAND = `${process.execPath} ${"Deno" in globalThis ? "run -A --no-check --quiet " : ""}${FIXTURE}`;
/** The shell waits for the next line. */
const PROMPT = /\$$/;
const options = { missing: tmuxProblem };

interface Started {
  readonly terminal: Tmux;
  readonly pid: number;
  /** The mode before. */
  readonly mode: string;
}

/** Runs the fixture from a shell, and waits until it is in raw mode. */
async function start(terminal: Tmux, command = COMMAND): Promise<Started> {
  await terminal.shows(PROMPT);
  const mode = terminal.mode();
  terminal.enter(`${command}; echo "status $?"`);
  const [, pid] = /ready (\d+)/.exec(await terminal.shows(/ready \d+/)) ?? [];
  await terminal.isRaw(true);
  return { terminal, pid: Number(pid), mode };
}

/** The fixture has ended; its terminal is as it was, and a person can use it. */
async function assertSane({ terminal, mode }: Started): Promise<void> {
  await terminal.shows(/status \d+\n\$/);
  assert.equal(terminal.variable("alternate_on"), "0");
  assert.equal(terminal.variable("cursor_flag"), "1");
  assert.equal(terminal.variable("mouse_standard_flag"), "0");
  terminal.enter("clear; stty -echo echo; echo typed");
  await terminal.shows(/^typed\n\$/);
  terminal.enter("exec cat"); // a shell's own line editing is a mode of its own
  terminal.enter("line");
  await terminal.shows(/line\nline/);
  assert.equal(terminal.mode(), mode);
}

/** A shell whose own editing does not change the mode that is compared. */
function openTerminal(): Tmux {
  return new Tmux({ command: "PS1='$ ' exec sh" });
}

test(
  "HostTerminal passes keys on as they are, and what is written is shown as it is",
  async () => {
    using terminal = openTerminal();
    await start(terminal);
    terminal.press("C-c", "C-z", "C-d", "C-s", "C-q", "C-v", "C-j", "Up");
    terminal.type("é");
    const screen = await terminal.shows("é");
    for (const key of ["\\u0003", "\\u001a", "\\u0004", "\\u0013", "\\u0011", "\\u0016", "\\n", "\\u001b[A"])
      assert.ok(screen.includes(key), `${key}: ${screen}`);
  },
  options,
);

test(
  "HostTerminal.size is the terminal's, and onResize() tells of the next",
  async () => {
    using terminal = openTerminal();
    await start(terminal);
    await terminal.shows("30 100");
    terminal.resize(77, 15);
    await terminal.shows("[size 15 77]");
  },
  options,
);

for (const [end, status] of Object.entries({ return: 0, throw: 1, crash: 1, exit: 5 })) {
  test(
    `HostTerminal is restored when the program ends by ${end}`,
    async () => {
      using terminal = openTerminal();
      const started = await start(terminal);
      terminal.enter("screen");
      await terminal.has("alternate_on", "1");
      terminal.enter(end);
      await terminal.shows(`status ${status}`);
      await assertSane(started);
    },
    options,
  );
}

for (const [signal, status] of Object.entries({ SIGTERM: 143, SIGHUP: 129, SIGQUIT: 131 })) {
  test(
    `HostTerminal is restored when ${signal} ends the program`,
    async () => {
      using terminal = openTerminal();
      const started = await start(terminal);
      terminal.enter("screen");
      await terminal.has("alternate_on", "1");
      process.kill(started.pid, signal);
      await terminal.shows(`status ${status}`);
      await assertSane(started);
    },
    options,
  );
}

test(
  "HostTerminal stays in raw mode when the program handles the signal",
  async () => {
    using terminal = openTerminal();
    const started = await start(terminal);
    terminal.enter("catch");
    terminal.type("x");
    await terminal.shows('<"x">');
    process.kill(started.pid, "SIGTERM");
    await terminal.shows("[caught]");
    assert.ok(terminal.isRawNow());
    terminal.press("Enter");
    terminal.enter("return");
    await assertSane(started);
  },
  options,
);

test(
  "HostTerminal is restored after kill -9, the screen included",
  async () => {
    using terminal = openTerminal();
    const started = await start(terminal);
    terminal.enter("screen");
    await terminal.has("alternate_on", "1");
    process.kill(started.pid, "SIGKILL");
    await terminal.has("alternate_on", "0"); // the shell may have been faster: then its prompt went with that screen
    await terminal.isRaw(false);
    terminal.enter("echo status 0");
    await assertSane(started);
  },
  options,
);

test(
  "HostTerminal leaves the mode alone that a shell has set after kill -9",
  async () => {
    using terminal = new Tmux();
    const started = await start(terminal);
    process.kill(started.pid, "SIGKILL");
    await terminal.shows("status 137");
    terminal.enter("sleep 0.5; echo $((6 * 7))"); // longer than the watchdog waits
    await terminal.shows(/^42\n\$/m);
    const screen = await terminal.shows(PROMPT);
    assert.equal(screen.split("sleep 0.5").length, 2, `what was typed is shown once: ${screen}`);
    terminal.type("echo once");
    assert.equal((await terminal.shows("echo once")).split("echo once").length, 2);
  },
  options,
);

test(
  "HostTerminal is restored while the program is stopped, and in raw mode when it goes on",
  async () => {
    using terminal = new Tmux();
    const started = await start(terminal);
    terminal.enter("screen");
    await terminal.has("alternate_on", "1");
    process.kill(started.pid, "SIGTSTP");
    await terminal.has("alternate_on", "0");
    await terminal.shows("Stopped");
    assert.ok(!terminal.isRawNow());
    terminal.resize(90, 20);
    terminal.enter("fg");
    await terminal.has("alternate_on", "1");
    await terminal.shows("[size 20 90]");
    await terminal.isRaw(true);
    terminal.enter("return");
    await terminal.has("alternate_on", "0");
    await terminal.shows(PROMPT);
  },
  options,
);

test(
  "HostTerminal again after it was given back",
  async () => {
    using terminal = openTerminal();
    const started = await start(terminal);
    terminal.enter("again");
    await terminal.shows("[opened again]");
    terminal.type("x");
    await terminal.shows('<"x">');
    terminal.press("Enter");
    terminal.enter("exit");
    await assertSane(started);
  },
  options,
);

test(
  "HostTerminal refuses a second user of the terminal",
  async () => {
    using terminal = openTerminal();
    await start(terminal);
    terminal.enter("second");
    await terminal.shows("[TerminalError: The terminal of this process is attached to a program already]");
  },
  options,
);

test("HostTerminal says that there is no terminal", () => {
  if (process.stdin.isTTY) return; // a person runs this test
  assert.throws(() => new HostTerminal(), { code: "terminal", message: /Standard input is not a terminal/ });
});
