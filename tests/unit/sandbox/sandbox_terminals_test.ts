/** Programs on terminals that are streams, over a backend with the real agent and no VM. @module */
import assert from "node:assert/strict";
import {
  type AttachOptions,
  DETACHED,
  type Job,
  NoDefaultCommandError,
  TerminalError,
} from "../../../mod.ts";
import { fieldsOf, withSandbox } from "../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { StreamScreen } from "../../support/terminal_streams.ts";

const options = { skip: nativeAgentProblem };

test(
  "Sandbox.attach() connects a program on a terminal, and resolves with its exit code",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen({ rows: 40, columns: 120 });
      const script = 'test -t 0 && test -t 1 && test -t 2; echo "is $?"; stty size; read -r line; exit $line';
      const ended = sandbox.attach("sh", ["-c", script], { terminal: screen.streams });
      await screen.shows("is 0\r\n40 120\r\n");
      await screen.type("7\r");
      assert.equal(await ended, 7);
      assert.equal(screen.streams.stdin.locked || screen.streams.stdout.locked, false);
    }),
  options,
);

test(
  "Sandbox.attach() gives a program 24 rows and 80 columns, and what sizes says afterwards",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen();
      const script = 'trap "stty size" WINCH; stty size; while :; do sleep 0.05; done';
      const ended = sandbox.attach("sh", ["-c", script], { terminal: screen.streams });
      await screen.shows("24 80\r\n");
      await screen.resize({ rows: 33, columns: 44 });
      await screen.shows("33 44\r\n");
      await screen.resize({ rows: 0, columns: 44 });
      await assert.rejects(ended, fieldsOf("rows"));
    }),
  options,
);

test(
  "Sandbox.attach() sends Ctrl-C to the program",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen();
      const script = 'trap "echo caught; exit 5" INT; echo go; while :; do sleep 0.05; done';
      const ended = sandbox.attach("sh", ["-c", script], { terminal: screen.streams });
      await screen.shows("go");
      await screen.type(Uint8Array.of(3));
      assert.equal(await ended, 5);
      assert.ok(screen.text.includes("^Ccaught"), screen.text);
    }),
  options,
);

test(
  "Sandbox.attach() sends the end of the input as ^D, and shows what comes then",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen();
      const ended = sandbox.attach("sh", ["-c", "cat; echo over"], { terminal: screen.streams });
      await screen.type("a line\r");
      await screen.shows("a line\r\na line\r\n");
      await screen.hangUp();
      assert.equal(await ended, 0);
      assert.ok(screen.text.endsWith("over\r\n"), screen.text);
    }),
  options,
);

test(
  "Sandbox.attach() kills the program when its signal fires, or its time is over, even if the terminal takes nothing",
  () =>
    withSandbox(async (sandbox) => {
      const stuck = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
      const terminal = () => ({ ...new StreamScreen().streams, stdout: stuck });
      const abort = new AbortController();
      const aborted = sandbox.attach("yes", [], { terminal: terminal(), signal: abort.signal });
      setTimeout(() => abort.abort(), 100);
      await assert.rejects(aborted, { code: "aborted" });
      const late = sandbox.attach("sleep", ["9"], { terminal: new StreamScreen().streams, timeoutMs: 100 });
      await assert.rejects(late, { code: "execTimeout" });
      const left = await sandbox.exec("sh", ["-c", "ps -eo args | grep -c '^yes$'"]);
      assert.equal(left.stdout(), "0\n");
    }),
  options,
);

test(
  "Sandbox.attachShell(), attachDefault() and attachWith() run what they say",
  () =>
    withSandbox(
      async (sandbox) => {
        const shell = new StreamScreen();
        const ended = sandbox.attachShell({ terminal: shell.streams, cwd: "/tmp" });
        await shell.type("echo in $PWD; exit 3\r");
        assert.equal(await ended, 3);
        assert.ok(shell.text.includes("in /tmp"), shell.text);
        const main = new StreamScreen();
        assert.equal(await sandbox.attachDefault({ terminal: main.streams }), 0);
        assert.equal(main.text, "main cmd\r\n");
        const other = new StreamScreen();
        const configure = { terminal: other.streams };
        await sandbox.attachDefaultWith((attach) => attach.arg("other").terminal(configure.terminal));
        assert.equal(other.text, "main other\r\n");
        const built = new StreamScreen();
        const code = await sandbox.attachWith("sh", (attach) =>
          attach
            .arg("-c")
            .args(["echo $NAME $OTHER $(ulimit -n) $PWD; exit 4"])
            .env("NAME", "a")
            .envs({ OTHER: "b" })
            .cwd("/usr")
            .rlimit("nofile", 77)
            .terminal(built.streams),
        );
        assert.deepEqual([code, built.text], [4, "a b 77 /usr\r\n"]);
      },
      { entrypoint: ["echo", "main"], cmd: ["cmd"] },
    ),
  options,
);

test(
  "Sandbox.attach() leaves the program running after the detach keys, and Job.attach() takes it up again",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen({ rows: 10, columns: 40 });
      const loop = 'read -r line && { echo "[$line]"; [ "$line" = end ] && exit 6; }';
      const screenOn = "printf '\\033[?1049h\\033[?25l\\033[?2004h\\033[?25h'";
      const script = `${screenOn}; trap "stty size" WINCH; echo go; while :; do ${loop}; done`;
      let job: Job | undefined;
      const ended = sandbox.attach("sh", ["-c", script], {
        terminal: screen.streams,
        name: "loop",
        onStart: (started) => {
          job = started;
        },
      });
      await screen.shows("go\r\n");
      await screen.type("one\r");
      await screen.shows("[one]");
      await screen.type("\x10");
      await screen.type("x\r");
      await screen.shows("[\x10x]");
      await screen.type("\x10");
      await screen.type("\x11this is dropped");
      assert.equal(await ended, DETACHED);
      assert.equal(job?.name, "loop");
      const again = await sandbox.job("loop");
      assert.deepEqual([again.id, again.status, again.tty], [job?.id, "running", true]);
      const second = new StreamScreen({ rows: 12, columns: 40 });
      const over = again.attach({ terminal: second.streams, detachKeys: "ctrl-]" });
      await second.shows("12 40");
      assert.ok(second.text.startsWith("\x1b[?1049h\x1b[?2004h"), "what the first terminal was brought to");
      await second.type("end\r");
      assert.equal(await over, 6);
      assert.equal((await again.wait()).code, 6);
      assert.ok(!second.text.includes("dropped"), second.text);
    }),
  options,
);

test(
  "Job.attach() by another client takes the program from the first one",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen();
      const first = sandbox.attach("sh", ["-c", "echo go; read -r line; exit 3"], {
        terminal: screen.streams,
        name: "one",
      });
      await screen.shows("go");
      const second = new StreamScreen();
      const over = (await sandbox.job("one")).attach({ terminal: second.streams });
      await assert.rejects(first, { code: "jobAttachedElsewhere" });
      assert.equal(screen.streams.stdin.locked, false);
      await second.type("\r");
      assert.equal(await over, 3);
    }),
  options,
);

test(
  "Job.attach() detaches when its signal fires, or its terminal fails, and the job runs on",
  () =>
    withSandbox(async (sandbox) => {
      const job = await sandbox.startJob("sleep", ["60"], { tty: true });
      const abort = new AbortController();
      const aborted = job.attach({ terminal: new StreamScreen().streams, signal: abort.signal });
      setTimeout(() => abort.abort(), 50);
      await assert.rejects(aborted, { code: "aborted" });
      const gone = new Error("the socket is gone");
      const stdin = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(gone) });
      const lost = job.attach({ terminal: { ...new StreamScreen().streams, stdin } });
      await assert.rejects(lost, { code: "terminal", cause: gone });
      const stdout = new WritableStream<Uint8Array>({ write: () => Promise.reject(gone) });
      const screen = new StreamScreen();
      const unseen = job.attach({ terminal: { ...screen.streams, stdout } });
      await screen.type("shown by the echo of the guest's terminal");
      await assert.rejects(unseen, { code: "terminal", cause: gone });
      const closed = new TransformStream<string>();
      const left = job.attach({ terminal: { ...new StreamScreen().streams, stdin: closed.readable } });
      closed.writable.abort().catch(() => {});
      await assert.rejects(left, { code: "terminal" });
      assert.equal((await job.refresh()).status, "running");
      await job.kill();
      assert.equal((await job.wait()).signal, 9);
      await assert.rejects(job.attach({ terminal: new StreamScreen().streams }), { code: "jobEnded" });
      const piped = await sandbox.startJob("sleep", ["60"]);
      await assert.rejects(piped.attach({ terminal: new StreamScreen().streams }), TerminalError);
      await piped.kill();
    }),
  options,
);

test(
  "Sandbox.attach() with detachKeys false passes all keys on",
  () =>
    withSandbox(async (sandbox) => {
      const screen = new StreamScreen();
      const script = "stty raw -echo; echo go; head -c 2 | od -An -tx1";
      const ended = sandbox.attach("sh", ["-c", script], { terminal: screen.streams, detachKeys: false });
      await screen.shows("go");
      await screen.type("\x10\x11");
      assert.equal(await ended, 0);
      assert.match(screen.text, /10 11/);
    }),
  options,
);

test(
  "Sandbox.attachDefault() refuses a sandbox without a command",
  () =>
    withSandbox(async (sandbox) => {
      const { streams } = new StreamScreen();
      await assert.rejects(sandbox.attachDefault({ terminal: streams }), NoDefaultCommandError);
    }),
  options,
);

test(
  "Sandbox.attach() refuses options before it starts anything",
  () =>
    withSandbox(async (sandbox) => {
      const { streams } = new StreamScreen();
      const refuses = (given: object, field: string) =>
        assert.rejects(sandbox.attach("true", [], given as AttachOptions), fieldsOf(field), field);
      await refuses({ terminal: streams, detachKeys: "ctrl-1" }, "detachKeys");
      await refuses({ terminal: streams, detachKeys: "" }, "detachKeys");
      await refuses({ terminal: streams, detachKeys: true }, "detachKeys");
      await refuses({ terminal: { ...streams, size: { rows: 0, columns: 1 } } }, "terminal.size.rows");
      await refuses({ terminal: { stdin: streams.stdin } }, "terminal.stdout");
      await refuses({ terminal: streams, tty: true }, "tty");
      await refuses({ terminal: streams, name: "a b" }, "name");
      await refuses({ terminal: streams, onStart: "yes" }, "onStart");
      const bad = sandbox.attach("true", [], { terminal: streams, detachKeys: "ctrl-1" });
      await assert.rejects(bad, /detachKeys: must be 1 to 16 keys with commas .*: current value is "ctrl-1"/);
      await refuses({ terminal: streams, stdin: "pipe" }, "stdin");
      await refuses({ cwd: "relative" }, "cwd");
      await assert.rejects(sandbox.attach("", [], { terminal: streams }), fieldsOf("command"));
      assert.equal(streams.stdin.locked, false);
    }),
  options,
);

test(
  "Sandbox.attach() says that there is no terminal",
  () =>
    withSandbox(async (sandbox) => {
      await assert.rejects(sandbox.attachShell(), TerminalError);
    }),
  { skip: nativeAgentProblem ?? (process.stdin.isTTY ? "a person runs this" : undefined) },
);
