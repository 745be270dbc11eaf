/**
 * Programs of sandboxes on a real terminal, which tmux draws: attach, resize, Ctrl-C, detach, attach again, and what is left of
 * the terminal when the client is killed.
 *
 * @module
 */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Sandbox } from "../../mod.ts";
import { CLI_COMMAND } from "../support/cli/cli_process.ts";
import { eventually } from "../support/processes.ts";
import { Tmux, tmuxProblem } from "../support/tmux.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const MSB = CLI_COMMAND.join(" ");
const ATTACH_FIXTURE = fileURLToPath(new URL("./attach_fixture.ts", import.meta.url));
/** Where a VM is emulated twice, each of several steps takes a minute. */
const options = { missing: tmuxProblem, timeoutMs: 600_000 };
/** The guest's shell, and this machine's, wait for a line. */
const GUEST_PROMPT = /\/ #$/;
const PROMPT = /\$$/;

/** A terminal with a shell that knows `msb`. */
async function openTerminal(): Promise<Tmux> {
  const terminal = new Tmux({ command: "PS1='$ ' exec bash --norc --noprofile -i" });
  await terminal.shows(PROMPT);
  terminal.enter(`msb() { ${MSB} "$@"; echo "status $?"; }; clear`);
  await terminal.shows(/^\$$/);
  return terminal;
}

async function runningJob() {
  const [job] = (await (await Sandbox.get("subject")).jobs()).filter(({ status }) => status === "running");
  assert.ok(job !== undefined);
  return job;
}

homeTest(
  "msb shell has the size of the terminal, follows it, passes Ctrl-C on and exits as the shell does",
  async ({ create }) => {
    await create();
    using terminal = await openTerminal();
    terminal.enter("msb shell subject");
    await terminal.shows(GUEST_PROMPT);
    terminal.enter("stty size; echo $TERM; tty");
    await terminal.shows(/^30 100\ntmux-256color\n\/dev\/pts\/\d+\n/m);
    terminal.resize(70, 20);
    terminal.enter("stty size");
    await terminal.shows("20 70");
    terminal.enter("sleep 1000; echo slept $?");
    await terminal.shows(/sleep 1000.*\n*$/);
    terminal.press("C-c");
    await terminal.shows(/\^C\n+\/ #$/); // an interrupted line is given up as a whole
    terminal.press("C-d");
    await terminal.shows("status 130");
    await terminal.isRaw(false);
  },
  options,
);

homeTest(
  "msb exec --tty draws vi; detaching leaves it running, and msb attach draws it again",
  async ({ create }) => {
    await create();
    using terminal = await openTerminal();
    terminal.enter("msb exec -it subject -- vi /root/note");
    await terminal.shows("- /root/note");
    await terminal.has("alternate_on", "1");
    terminal.type("ikept text");
    await terminal.shows("kept text");
    terminal.press("C-p", "C-q");
    const left = await terminal.shows("status 0");
    assert.equal(terminal.variable("alternate_on"), "0");
    assert.equal(terminal.isRawNow(), false);
    const job = await runningJob();
    assert.ok(left.includes(`detached; attach again with: msb attach subject ${job.id}`), left);
    assert.equal(job.tty, true);
    terminal.resize(60, 10);
    terminal.enter(`clear; msb attach subject ${job.id}`);
    await terminal.shows(/^kept text\n[\s\S]*\/root\/note 1/);
    await terminal.has("alternate_on", "1"); // which vi has switched on for the first terminal
    terminal.press("Escape");
    await terminal.shows("- /root/note"); // else it would take the next key for a part of this one
    terminal.enter(":wq");
    await terminal.shows("status 0");
    assert.equal(terminal.variable("alternate_on"), "0");
    assert.equal((await job.wait()).code, 0);
    terminal.enter("clear; msb exec subject cat /root/note");
    await terminal.shows(/^kept text\nstatus 0/m);
  },
  options,
);

homeTest(
  "msb attach takes a program from another terminal, and finds the only one",
  async ({ create }) => {
    await create();
    using first = await openTerminal();
    using second = await openTerminal();
    second.enter("msb attach subject");
    await second.shows(/No program runs on a terminal in "subject"\n[\s\S]*status 1/);
    first.enter("msb shell subject --detach-keys ctrl-x,x");
    await first.shows(GUEST_PROMPT);
    first.enter("secret=42");
    second.enter("clear; msb attach subject");
    await first.shows(/jobAttachedElsewhere[\s\S]*status 1/);
    assert.equal(first.isRawNow(), false);
    await second.isRaw(true);
    second.enter("echo $secret; exit $secret");
    await second.shows("status 42");
    second.enter("clear; msb attach subject absent");
    await second.shows(/jobNotFound[\s\S]*status 1/);
  },
  options,
);

homeTest(
  "msb exec killed by kill -9 leaves the terminal as it was, and its program to be attached to again",
  async ({ create }) => {
    await create();
    using terminal = new Tmux({ command: "PS1='$ ' exec sh" }); // a shell that restores nothing
    await terminal.shows(PROMPT);
    const mode = terminal.mode();
    terminal.enter(`${MSB} exec -it subject -- vi /etc/passwd`);
    await terminal.shows("- /etc/passwd");
    process.kill(Number(terminal.foreground()), "SIGKILL");
    await terminal.has("alternate_on", "0");
    await terminal.isRaw(false);
    assert.equal(terminal.mode(), mode);
    terminal.enter("echo sane again");
    await terminal.shows(/^sane again$/m);
    await eventually(async () => assert.equal((await runningJob()).command[0], "vi"));
    terminal.enter(`clear; ${MSB} attach subject`);
    await terminal.shows("- /etc/passwd");
    terminal.enter(":q!");
    await terminal.isRaw(false);
  },
  options,
);

homeTest(
  "msb shell ends its program when the terminal hangs up, and msb attach leaves it",
  async ({ create }) => {
    await create();
    const terminal = await openTerminal();
    terminal.enter("msb shell subject");
    await terminal.shows(GUEST_PROMPT);
    const shell = await runningJob();
    terminal[Symbol.dispose]();
    const { code } = await shell.wait({ timeoutMs: 60_000 });
    assert.ok(code === 0 || code === 129, `${code}`); // by SIGHUP, or by the end of its input
    const job = await (await (await Sandbox.get("subject")).connect()).startJob("cat", [], { tty: true });
    const second = await openTerminal();
    second.enter("msb attach subject");
    await second.isRaw(true);
    second.enter("line");
    await second.shows(/line\nline/);
    second[Symbol.dispose]();
    const third = await openTerminal();
    third.enter("msb attach subject");
    await third.isRaw(true);
    third.enter("again");
    await third.shows(/again\nagain/);
    third.press("C-d");
    await third.shows("status 0");
    assert.equal((await job.wait()).code, 0);
    third[Symbol.dispose]();
  },
  options,
);

homeTest(
  "msb run can be detached from: the sandbox goes on until its program ends",
  async ({ image }) => {
    using terminal = await openTerminal();
    terminal.enter(`msb run --quiet --name kept --rm --memory ${MEMORY_MIB}M ${image} sh`);
    await terminal.shows(GUEST_PROMPT);
    terminal.press("C-p", "C-q");
    await terminal.shows(/msb attach kept \w+\n+status 0/);
    assert.equal((await Sandbox.get("kept")).status, "running");
    terminal.enter("clear; msb attach kept");
    await terminal.isRaw(true);
    terminal.enter("exit 9");
    await terminal.shows("status 9");
    const names = async () => (await Sandbox.list()).sandboxes.map(({ name }) => name);
    await eventually(async () => assert.deepEqual(await names(), []));
  },
  options,
);

homeTest(
  "Sandbox.attachShell() gives the terminal back, can be called again, and lets the program end",
  async ({ create }) => {
    await create();
    using terminal = await openTerminal();
    const runtime = "Deno" in globalThis ? "run -A --quiet " : "";
    terminal.enter(`${process.execPath} ${runtime}${ATTACH_FIXTURE} subject; echo "status $?"`);
    await terminal.shows(GUEST_PROMPT);
    terminal.enter("exit 4");
    await terminal.shows(/first 4\n[\s\S]*\/ #$/);
    terminal.press("C-p", "C-q");
    await terminal.shows(/second -1\n+status 0\n\$$/);
    assert.equal(terminal.isRawNow(), false);
    await (await runningJob()).kill();
  },
  options,
);
