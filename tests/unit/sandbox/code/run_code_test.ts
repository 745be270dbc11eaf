/** Code in real interpreters, over the real agent and no VM. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import {
  AbortedError,
  type CodeLanguage,
  CodeLimitError,
  type CodeResult,
  CodeSessionEndedError,
  CodeTimeoutError,
  InterpreterNotFoundError,
  type Sandbox,
} from "../../../../mod.ts";
import { fieldsOf, withSandbox } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

/** A test of a language that this machine can run. */
function codeTest(
  language: CodeLanguage | "all",
  name: string,
  body: (sandbox: Sandbox) => Promise<void>,
): void {
  const programs = { python: ["python3"], javascript: ["node"], sh: [], all: ["python3", "node"] }[language];
  const absent = programs.filter((program) => spawnSync(program, ["--version"]).status !== 0);
  const missing = absent.length === 0 ? undefined : `needs ${absent.join(" and ")}`;
  const path = process.env["PATH"] ?? "/usr/bin:/bin";
  test(name, () => withSandbox(body, { env: { PATH: path } }), { skip: nativeAgentProblem, missing });
}

/** Fails with what the code threw. */
function checkedValue({ result, error, stderr }: CodeResult): unknown {
  assert.equal(error, undefined, `${error?.traceback}\n${stderr}`);
  return result?.value;
}

codeTest("python", "runCode() of Python tells output, value and exception apart", async (sandbox) => {
  const ran = await sandbox.runCode(
    "python",
    "import sys\nprint('out')\nprint('err', file=sys.stderr)\n{'a': [1, 2.5, None, 'ü']}",
  );
  assert.deepEqual([ran.stdout, ran.stderr, ran.success], ["out\n", "err\n", true]);
  assert.deepEqual(ran.result, {
    text: "{'a': [1, 2.5, None, 'ü']}",
    textOmitted: 0,
    value: { a: [1, 2.5, null, "ü"] },
  });
  assert.deepEqual(
    [ran.error, ran.exitCode, ran.sessionStarted, ran.sessionEnded],
    [undefined, undefined, true, true],
  );

  const failed = await sandbox.runCode("python", "print(1)\ndef f():\n  return 1 / 0\nf()");
  assert.deepEqual(
    [failed.success, failed.stdout, failed.stderr, failed.result],
    [false, "1\n", "", undefined],
  );
  assert.deepEqual([failed.error?.name, failed.error?.message], ["ZeroDivisionError", "division by zero"]);
  assert.match(
    failed.error?.traceback ?? "",
    /line 4, in <module>\n {4}f\(\)\n.*line 3, in f\n {4}return 1 \/ 0/s,
  );
  assert.doesNotMatch(failed.error?.traceback ?? "", /evaluate|<string>/);

  const broken = await sandbox.runCode("python", "x = (");
  assert.deepEqual([broken.error?.name, broken.success], ["SyntaxError", false]);
  assert.deepEqual((await sandbox.runCode("python", "object")).result, {
    text: "<class 'object'>",
    textOmitted: 0,
    value: undefined,
  });
  assert.equal((await sandbox.runCode("python", "print('only')")).result, undefined);
  assert.equal((await sandbox.runCode("python", "float('nan')")).result?.value, undefined);
});

codeTest(
  "python",
  "runCode() of Python keeps a session, also over exceptions and SIGINT",
  async (sandbox) => {
    const run = (source: string, more = {}) => sandbox.runCode("python", source, { session: "s", ...more });
    const first = await run("import math\ndef twice(x): return 2 * x\nn = 21");
    assert.deepEqual([first.session, first.sessionStarted, first.sessionEnded], ["s", true, false]);
    assert.equal((await run("raise KeyError('k')")).error?.name, "KeyError");
    assert.equal(checkedValue(await run("twice(n)")), 42);
    assert.equal(checkedValue(await run("import asyncio\nawait asyncio.sleep(0, result=7)")), 7);
    assert.equal(checkedValue(await run("import __main__; __main__.n")), 21);
    assert.equal(checkedValue(await run("open('/proc/self/fd/0').read()")), "");
    assert.equal((await run("input()")).error?.name, "EOFError");
    for (const endless of ["print('begun')\nwhile True: pass", "print('begun')\nawait asyncio.sleep(1000)"]) {
      const stop = new AbortController();
      const running = run(endless, { signal: stop.signal, onStdout: () => stop.abort() });
      await assert.rejects(running, AbortedError);
      assert.equal(checkedValue(await run("n")), 21);
    }
    await assert.rejects(run("while True: pass", { timeoutMs: 500 }), (error) => {
      assert.ok(error instanceof CodeTimeoutError, String(error));
      assert.deepEqual([error.sessionEnded, error.timeoutMs], [false, 500]);
      return true;
    });
    assert.deepEqual([checkedValue(await run("n")), (await run("1")).sessionStarted], [21, false]);
  },
);

codeTest("python", "runCode() tells how an interpreter exits, and begins another", async (sandbox) => {
  const run = (source: string) => sandbox.runCode("python", source, { session: "s" });
  const exited = await run("import atexit, sys\natexit.register(print, 'bye')\nsys.exit(3)");
  assert.deepEqual([exited.exitCode, exited.success, exited.sessionEnded], [3, false, true]);
  assert.equal(exited.stdout, "bye\n");
  const killed = await run("import os\nprint('x')\nos.kill(os.getpid(), 9)");
  assert.deepEqual([killed.sessionStarted, killed.exitCode, killed.signalName], [true, 137, "SIGKILL"]);
  assert.equal(killed.stdout, "x\n");
  const once = await sandbox.runCode(
    "python",
    "import threading, time\nf = open('/dev/stdout', 'w')\nf.write('unflushed ')\nthreading.Timer(0.05, print, ['late']).start()",
  );
  assert.deepEqual(
    [once.stdout.includes("late"), once.stdout.includes("unflushed"), once.success],
    [true, true, true],
  );
});

codeTest("python", "runCode() keeps to its limits, and counts what it leaves out", async (sandbox) => {
  const chunks: string[] = [];
  const ran = await sandbox.runCode(
    "python",
    "import sys\nprint('ü' * 100000)\nsys.stderr.write('e' * 11)\n'r' * 300000",
    {
      outputBytesMax: 10,
      onStdout: async (text) => {
        chunks.push(text);
      },
    },
  );
  assert.deepEqual([ran.stdout, ran.stderr], ["ü".repeat(5), "e".repeat(10)]);
  assert.deepEqual(ran.omittedBytes, { stdout: 200_001 - 10, stderr: 1 });
  assert.equal(chunks.join(""), `${"ü".repeat(100_000)}\n`);
  assert.deepEqual([ran.result?.text.length, ran.result?.textOmitted], [262_144, 300_002 - 262_144]);
  assert.equal(ran.result?.value, "r".repeat(300_000));
  assert.equal((await sandbox.runCode("python", "'r' * 2000000")).result?.value, undefined);
  await assert.rejects(
    sandbox.runCode("python", "print(1)", {
      onStdout: () => {
        throw new RangeError("mine");
      },
    }),
    /mine/,
  );
});

codeTest("python", "runCode() takes no word of code for the driver's", async (sandbox) => {
  const run = (source: string) => sandbox.runCode("python", source, { session: "s" });
  const mark = `\\x1e${"0".repeat(32)}0001e`;
  const forged = await run(`import os\nfor fd in (1, 2): os.write(fd, b"${mark}")\n5`);
  assert.deepEqual(
    [forged.stdout, forged.stderr],
    [`\x1e${"0".repeat(32)}0001e`, `\x1e${"0".repeat(32)}0001e`],
  );
  assert.equal(checkedValue(forged), 5);
  // With the driver's own nonce, code that looks for it can only lie about itself.
  const liar = `import os, sys\nframe = sys._getframe()\nwhile 'nonce' not in frame.f_locals: frame = frame.f_back\n`;
  const piece = "b'\\x1e' + frame.f_locals['nonce']";
  await assert.rejects(run(`${liar}os.write(1, ${piece} + b'ffff')`), CodeSessionEndedError);
  await assert.rejects(run(`${liar}os.write(1, ${piece} + b'0002r{')`), CodeSessionEndedError);
  const fork = await run(
    "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n'parent' if pid else 'child'",
  );
  assert.equal(checkedValue(fork), "parent");
  assert.equal(checkedValue(await run("1 + 1")), 2);
});

codeTest("javascript", "runCode() of JavaScript tells output, value and exception apart", async (sandbox) => {
  const run = (source: string) => sandbox.runCode("javascript", source);
  const ran = await run("console.log('out'); console.error('err'); ({ a: [1, null, 'ü'] })");
  assert.deepEqual([ran.stdout, ran.stderr, checkedValue(ran)], ["out\n", "err\n", { a: [1, null, "ü"] }]);
  assert.equal(ran.result?.text, "{ a: [ 1, null, 'ü' ] }");
  assert.equal(checkedValue(await run("await new Promise((resolve) => setTimeout(resolve, 5, 7))")), 7);
  assert.equal(checkedValue(await run("require('node:path').join('a', 'b')")), "a/b");
  assert.deepEqual((await run("10n")).result, { text: "10n", textOmitted: 0, value: undefined });
  assert.equal((await run("undefined")).result, undefined);
  assert.equal((await run("console.log(1); setTimeout(() => console.log(2), 20)")).stdout, "1\n2\n");
  const failed = await run("function f() {\n  throw new RangeError('far')\n}\nf()");
  assert.deepEqual([failed.error?.name, failed.error?.message, failed.success], ["RangeError", "far", false]);
  assert.match(failed.error?.traceback ?? "", /RangeError: far\n {4}at f .*:2:9\)/);
  assert.equal((await run("throw 'text'")).error?.message, "text");
  assert.equal((await run("await Promise.reject(new TypeError('async'))")).error?.name, "TypeError");
  assert.equal((await run("let x = {")).error?.name, "SyntaxError");
  const exited = await run("console.log(1); process.exit(4)");
  assert.deepEqual([exited.exitCode, exited.stdout], [4, "1\n"]);
});

codeTest(
  "javascript",
  "runCode() of JavaScript keeps a session, also over exceptions and SIGINT",
  async (sandbox) => {
    const run = (source: string, more = {}) =>
      sandbox.runCode("javascript", source, { session: "s", ...more });
    await run("const n = 20; let m = 1; class A {}; function f() { return n + m }");
    assert.equal((await run("throw new Error('x')")).error?.message, "x");
    assert.equal(checkedValue(await run("m += 1; f()")), 22);
    assert.equal(checkedValue(await run("const n2 = 1; typeof A")), "function");
    assert.equal(checkedValue(await run("const n2 = 2; n2")), 2);
    assert.equal(checkedValue(await run("require('fs').readFileSync(0, 'utf8')")), "");
    await run(
      "setTimeout(() => { throw new Error('later') }, 1); await new Promise((r) => setTimeout(r, 30))",
    );
    for (const endless of ["while (true) {}", "await new Promise(() => {})"]) {
      await assert.rejects(run(endless, { timeoutMs: 500 }), (error) => {
        assert.ok(error instanceof CodeTimeoutError, String(error));
        assert.equal(error.sessionEnded, false, endless);
        return true;
      });
    }
    assert.deepEqual([checkedValue(await run("m")), (await run("1")).sessionStarted], [2, false]);
  },
);

codeTest("sh", "runCode() of a shell keeps directory, variables and functions", async (sandbox) => {
  using directory = temporaryDirectory();
  const busybox = join(directory.path, "sh");
  if (spawnSync("busybox", ["true"]).status === 0)
    await sandbox.$`ln -s ${"/usr/bin/busybox"} ${busybox}`.nothrow();
  for (const interpreter of ["sh", "bash", busybox]) {
    if (spawnSync(interpreter, ["-c", "true"]).status === 0) await checkShell(sandbox, interpreter);
  }
});

async function checkShell(sandbox: Sandbox, interpreter: string): Promise<void> {
  const run = (source: string, more = {}) =>
    sandbox.runCode("sh", source, { session: interpreter, interpreter, ...more });
  const first = await run('cd /usr; n=1; f() { echo "f $1"; }; echo err >&2; false');
  assert.deepEqual([first.exitCode, first.success, first.stderr, first.stdout], [1, false, "err\n", ""]);
  assert.deepEqual([first.error, first.result], [undefined, undefined]);
  assert.equal((await run("pwd; echo $n; f 'a  b'")).stdout, "/usr\n1\nf a  b\n");
  const text = "  printf '%s\\n' 'back\\\\slash \\n %d' \"$(cat <<'END'\n  here $x `y` \\\nEND\n)\" # ü";
  assert.equal((await run(text)).stdout, "back\\\\slash \\n %d\n  here $x `y` \\\n");
  const wrong = await run("if");
  assert.deepEqual([wrong.success, wrong.sessionEnded, wrong.stderr !== ""], [false, false, true]);
  assert.equal((await run("return 7")).exitCode, 7);
  assert.equal((await run("cat; read x || echo end; echo $#")).stdout, "end\n0\n");
  assert.doesNotMatch((await run("set")).stdout, /[0-9a-f]{32}/);
  assert.equal((await run("echo a; set -x; echo b; set +x; echo c")).stdout, "a\nb\nc\n");
  assert.equal((await run("set -x")).exitCode, 0);
  assert.equal((await run("set +x; for i in 1 2; do break; done; echo $n")).stdout, "1\n");
  assert.equal((await run("sleep 100 & echo $n")).stdout, "1\n");
  const exited = await run("exit 5");
  assert.deepEqual([exited.exitCode, exited.sessionEnded], [5, true]);
  const killed = run("n=9; sleep 100", { timeoutMs: 300 });
  await assert.rejects(killed, (error) => error instanceof CodeTimeoutError && error.sessionEnded);
  const fresh = await run('echo "[$n]"');
  assert.deepEqual([fresh.stdout, fresh.sessionStarted], ["[]\n", true]);
}

codeTest(
  "sh",
  "a session runs one call after another, and ends those that wait when it is closed",
  async (sandbox) => {
    await using session = await sandbox.openCodeSession("sh", { cwd: "/tmp", env: { A: "b" } });
    const calls = Array.from({ length: 10 }, (_, index) =>
      session.run(`echo ${index} $A $PWD; n=$((n + 1)); echo $n`),
    );
    const outputs = (await Promise.all(calls)).map(({ stdout }) => stdout);
    assert.deepEqual(
      outputs,
      outputs.map((_, index) => `${index} b /tmp\n${index + 1}\n`),
    );
    assert.equal(
      (await sandbox.runCode("sh", "echo $n", { session: session.name, cwd: "/tmp" })).stdout,
      "10\n",
    );

    const many = Array.from({ length: 65 }, () => session.run("sleep 100"));
    const outcomes = Promise.allSettled(many);
    await assert.rejects(
      session.run("true"),
      (error) => error instanceof CodeLimitError && error.limit === 64,
    );
    await session.close();
    for (const outcome of await outcomes)
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof CodeSessionEndedError);
    assert.equal(session.isEnded, true);
    await assert.rejects(session.run("true"), CodeSessionEndedError);
    assert.equal(await sandbox.closeCodeSession(session.name), false);
  },
);

codeTest("sh", "runCode() is aborted while it waits, and while it runs", async (sandbox) => {
  const session = await sandbox.openCodeSession("sh", { name: "s" });
  const running = new AbortController();
  const begun = Promise.withResolvers<void>();
  const first = session.run("echo begun; sleep 100", {
    signal: running.signal,
    onStdout: () => begun.resolve(),
  });
  await begun.promise;
  await assert.rejects(session.run("true", { signal: AbortSignal.abort() }), AbortedError);
  await assert.rejects(session.run("true", { timeoutMs: 10 }), CodeTimeoutError);
  const queued = session.run("true");
  running.abort("enough");
  await assert.rejects(first, (error) => error instanceof AbortedError && error.cause === "enough");
  await assert.rejects(queued, CodeSessionEndedError);
  await assert.rejects(sandbox.runCode("sh", "sleep 100", { timeoutMs: 100 }), CodeTimeoutError);
});

codeTest("sh", "runCode() refuses what is wrong before anything runs", async (sandbox) => {
  const run = (...call: unknown[]) => sandbox.runCode(...(call as Parameters<typeof sandbox.runCode>));
  await assert.rejects(run("ruby", "1"), fieldsOf("language"));
  await assert.rejects(run("sh"), fieldsOf("source"));
  await assert.rejects(run("sh", "a\0b"), fieldsOf("source"));
  await assert.rejects(run("sh", "#".repeat(4 * 1024 * 1024 + 1)), fieldsOf("source"));
  await assert.rejects(run("sh", "1", { sesion: "a" }), /sesion: is not known: did you mean session\?/);
  await assert.rejects(run("sh", "1", { onStdout: "x" }), fieldsOf("onStdout"));
  await sandbox.runCode("sh", "true", { session: "s", cwd: "/tmp" });
  await assert.rejects(run("sh", "true", { session: "s", cwd: "/usr" }), fieldsOf("cwd"));
  await assert.rejects(run("python", "1", { session: "s" }), fieldsOf("language"));
  await assert.rejects(sandbox.openCodeSession("sh", { name: "s" }), fieldsOf("name"));
  const absent = run("python", "1", { interpreter: "/no/python" });
  await assert.rejects(absent, (error) => {
    assert.ok(error instanceof InterpreterNotFoundError);
    assert.deepEqual([error.language, error.interpreter], ["python", "/no/python"]);
    assert.match(error.hint ?? "", /python:3-alpine/);
    return true;
  });
  const other = await sandbox.runCode("python", "1", { interpreter: "sh" });
  assert.deepEqual([other.success, other.sessionEnded, other.stderr !== ""], [false, true, true]);
});

codeTest("sh", "sessions are bounded, and end with the sandbox", async (sandbox) => {
  const open = (index: number) => sandbox.openCodeSession("sh", { name: `s${index}` });
  const sessions = await Promise.all(Array.from({ length: 32 }, (_, index) => open(index)));
  await assert.rejects(open(32), (error) => error instanceof CodeLimitError && error.kind === "sessions");
  assert.equal(await sandbox.closeCodeSession("s0"), true);
  assert.equal((await sandbox.runCode("sh", "echo 1", { session: "s32" })).stdout, "1\n");
  const [, one, two] = sessions;
  const running = one?.run("sleep 100");
  const outcome = running?.then(undefined, (error: unknown) => error);
  await sandbox.stop();
  assert.ok((await outcome) instanceof CodeSessionEndedError);
  await assert.rejects(two?.run("true") ?? Promise.resolve(), CodeSessionEndedError);
});

codeTest("all", "each language of a session writes files where it was told to", async (sandbox) => {
  using directory = temporaryDirectory();
  const sources = {
    python: "open('p', 'w').write('1')",
    javascript: "require('fs').writeFileSync('j', '1')",
    sh: "echo 1 > s",
  };
  for (const [language, source] of Object.entries(sources))
    assert.equal(
      (await sandbox.runCode(language as CodeLanguage, source, { cwd: directory.path })).success,
      true,
    );
  if (process.getuid?.() === 0)
    for (const [language, source] of Object.entries({
      python: "import os\nos.getuid()",
      javascript: "process.getuid()",
    })) {
      const ran = await sandbox.runCode(language as CodeLanguage, source, { user: "65534" });
      assert.equal(checkedValue(ran), 65_534);
    }
  const listed = await sandbox.exec("ls", [], { cwd: directory.path });
  assert.equal(listed.stdout(), "j\np\ns\n");
});
