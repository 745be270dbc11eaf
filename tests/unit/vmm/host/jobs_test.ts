/** Jobs through the real relay and the real agent: records, signals, and going over from client to client. @module */
import assert from "node:assert/strict";
import type { AgentClient } from "../../../../src/agent/client.ts";
import { encodeMessage } from "../../../../src/agent/codec.ts";
import type { Adoption } from "../../../../src/agent/exec_opening.ts";
import type { ExecSession } from "../../../../src/agent/exec_session.ts";
import { JobFailure, SESSIONS_MAX, WireError } from "../../../../src/agent/protocol.ts";
import { readText, stdoutOf } from "../../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost, script } from "../../../support/host/in_process_host.ts";
import { RawClient } from "../../../support/host/raw_client.ts";

const options = { skip: nativeAgentProblem };
const DETACHED = { detached: true };
const WITH_INPUT = { detached: true, stdin: true, keepInput: true };

function adoptionOf(host: FakeHost, id: string): Adoption {
  const record = host.jobs.records.get(id);
  assert.ok(record !== undefined);
  return { job: id, logSessionId: record.sessionId, command: "sh", isTty: record.isTty };
}

async function adopt(host: FakeHost, client: AgentClient, id: string): Promise<ExecSession> {
  const session = client.jobs.adopt(adoptionOf(host, id));
  await session.started;
  return session;
}

test(
  "Jobs records a job from its start to the end of its output",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const before = Date.now();
    const { id, session } = await client.jobs.start(
      script("read line; echo out; exit 7", WITH_INPUT),
      "build",
    );
    assert.equal(host.jobs.records.get(id)?.status, "starting"); // recorded before its program is sent
    const pid = await session.started;
    const running = await host.jobs.until(({ status }) => status === "running");
    const { startedAt, ...rest } = running;
    assert.ok(startedAt.getTime() >= before);
    assert.deepEqual(rest, {
      id,
      bootNumber: 1,
      sessionId: session.logSessionId,
      name: "build",
      command: ["sh", "-c", "read line; echo out; exit 7"],
      isTty: false,
      status: "running",
      pid,
      endedAt: undefined,
      exit: undefined,
      failure: undefined,
      isOutputOver: false,
      logStart: { generation: 1, offsetBytes: 0 },
      logEnd: undefined,
    });
    await session.stdin.write(new TextEncoder().encode("\n"));
    assert.deepEqual(await session.exited, { code: 7, signal: undefined });
    // When the client hears of the exit, it is recorded.
    const exited = host.jobs.records.get(id);
    assert.deepEqual([exited?.status, exited?.exit], ["exited", { code: 7, signal: undefined }]);
    await session.settled;
    assert.deepEqual(host.jobs.records.get(id)?.isOutputOver, true);
    const texts = host.logged.map(({ source, text }) => [source, text]);
    const output = texts.findIndex(([source]) => source === "stdout");
    const end = texts.findIndex(([, text]) => text === "--- job output complete ---");
    assert.ok(
      texts.some(([source, text]) => source === "system" && text === "--- job exited with code 7 ---"),
    );
    assert.ok(output >= 0 && output < end, "all output is in the log before its end");
    assert.equal(host.jobs.records.get(id)?.logEnd?.offsetBytes, end + 1);
  },
  options,
);

test(
  "Jobs keeps the record of a job true when its client is gone",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id, session } = await client.jobs.start(
      script("read line; kill -TERM $$", WITH_INPUT),
      undefined,
    );
    await session.started;
    client.close();
    await client.closed;
    const next = await host.connect();
    assert.equal(await next.jobs.signal(id, 18), true); // SIGCONT: it is there
    const again = await adopt(host, next, id);
    await again.stdin.write(new TextEncoder().encode("\n"));
    const ended = await host.jobs.until(({ status }) => status === "exited");
    assert.deepEqual([ended.name, ended.exit], [undefined, { code: 143, signal: 15 }]);
    assert.equal(await next.jobs.signal(id, 9), false);
  },
  options,
);

test(
  "AgentJobs.signal() reaches a job that another client started and left",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id, session } = await client.jobs.start(script("sleep 1000", DETACHED), "x");
    await session.started;
    client.close();
    assert.equal(await (await host.connect()).jobs.signal(id, 9), true);
    const ended = await host.jobs.until(({ status }) => status === "exited");
    assert.deepEqual(ended.exit, { code: 137, signal: 9 });
  },
  options,
);

test(
  "AgentJobs.start() refuses a name that a running job has, and gives it once that has ended",
  async () => {
    await using host = await FakeHost.start();
    const [one, two] = [await host.connect(), await host.connect()];
    const first = await one.jobs.start(script("sleep 1000", DETACHED), "web");
    await first.session.started;
    await assert.rejects(two.jobs.start(script("true", DETACHED), "web"), {
      code: "jobNameTaken",
      jobName: "web",
      jobId: first.id,
    });
    await two.jobs.start(script("true", DETACHED), undefined); // as many without a name as one likes
    await two.jobs.start(script("true", DETACHED), undefined);
    await two.jobs.signal(first.id, 9);
    await first.session.exited;
    const second = await two.jobs.start(script("true", DETACHED), "web");
    assert.notEqual(second.id, first.id);
    assert.equal(host.jobs.records.get(first.id)?.name, "web");
  },
  options,
);

test(
  "Jobs says why a job could not be started, and frees its name",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const start = { ...script("", DETACHED), argv: ["/no/such/program"] };
    const { id, session } = await client.jobs.start(start, "a");
    await assert.rejects(session.started, { code: "execFailed", kind: "notFound" });
    const failed = host.jobs.records.get(id);
    assert.equal(failed?.status, "failed");
    assert.match(failed?.failure ?? "", /no such/i);
    const large = { ...script("true", DETACHED), argv: ["sh", "x".repeat(2 ** 20)] };
    const second = await client.jobs.start(large, "a");
    await assert.rejects(second.session.started, { kind: "badArguments" });
    await client.ping();
    assert.equal(host.jobs.records.get(second.id)?.status, "failed");
    await client.jobs.start(script("true", DETACHED), "a");
  },
  options,
);

test(
  "Jobs forgets a job whose client leaves, or whose call is aborted, before its program was sent",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    const { firstStream } = await raw.welcome();
    const fields = { token: 1, target: firstStream, flags: 0, name: "a", command: ["x"] };
    raw.connection.send(encodeMessage("jobStart", 0, fields));
    const answer = await raw.next();
    assert(answer.name === "jobAnswer" && answer.fields.failure === JobFailure.none);
    raw.connection.destroy();
    const gone = await host.jobs.until(({ status }) => status === "failed");
    assert.match(gone.failure ?? "", /client left/);

    const client = await host.connect();
    const aborted = AbortSignal.abort(new Error("no longer wanted"));
    await assert.rejects(client.jobs.start(script("true", DETACHED), "a", aborted), /no longer wanted/);
    await client.ping();
    assert.deepEqual(
      [...host.jobs.records.values()].map(({ status }) => status),
      ["failed", "failed"],
    );
  },
  options,
);

test(
  "Jobs refuses a job that cannot be recorded, and records later what changes meanwhile",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id, session } = await client.jobs.start(script("sleep 1000", DETACHED), "a");
    await session.started;
    host.jobs.failure = new Error("database is locked");
    const starting = client.jobs.start(script("true", DETACHED), "b");
    await client.jobs.signal(id, 9);
    assert.deepEqual(await session.exited, { code: 137, signal: 9 }); // no client waits for the database
    assert.equal(host.jobs.records.get(id)?.status, "running");
    host.jobs.failure = undefined;
    await host.jobs.until((job) => job.id === id && job.status === "exited");
    await (await starting).session.exited;
  },
  options,
);

test(
  "AgentJobs.adopt() gives another client all that a job writes from the moment in the log that it is told",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const text = "while read line; do echo got $line; done";
    const { id, session } = await client.jobs.start(script(text, WITH_INPUT), "cat");
    await session.stdin.write(new TextEncoder().encode("one\n"));
    assert.equal(new TextDecoder().decode(await stdoutOf(session).next()), "got one\n");

    const other = await host.connect();
    const again = await adopt(host, other, id);
    assert.equal(again.logSessionId, session.logSessionId);
    assert.equal(again.adopted?.hasInput, true);
    // The former client is told, and has what came to it.
    await assert.rejects(session.exited, { code: "jobAttachedElsewhere" });
    await again.stdin.write(new TextEncoder().encode("two\n"));
    await again.stdin.end();
    assert.equal(await readText(stdoutOf(again)), "got two\n");
    assert.deepEqual(await again.exited, { code: 0, signal: undefined });
    // Everything is under the job's own number in the log, and the cursor says where the new client came in.
    const own = host.logged.filter(({ source }) => source === "stdout");
    assert.deepEqual(new Set(own.map(({ sessionId }) => sessionId)), new Set([session.logSessionId]));
    const seam = again.adopted?.logPosition?.offsetBytes;
    const before = host.logged.slice(0, seam).flatMap(({ text = "" }) => text);
    const after = host.logged
      .slice(seam)
      .flatMap(({ source, text = "" }) => (source === "stdout" ? text : ""));
    assert.deepEqual([before.join(""), after.join("")], ["got one\n", "got two\n"]);
    assert.equal(host.activity.isBusy, false);
  },
  options,
);

test(
  "AgentJobs.adopt() hands a job over twice, and to a client that leaves and comes again",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id } = await client.jobs.start(script("read line; echo got $line", WITH_INPUT), "cat");
    await host.jobs.until(({ status }) => status === "running");
    const adoption = adoptionOf(host, id);
    const [one, two] = [await host.connect(), await host.connect()];
    const sessions = [one.jobs.adopt(adoption), one.jobs.adopt(adoption), one.jobs.adopt(adoption)]; // in one breath
    await Promise.all(sessions.map((session) => session.started));
    await assert.rejects(sessions[0]!.exited, { code: "jobAttachedElsewhere" });
    await assert.rejects(sessions[1]!.exited, { code: "jobAttachedElsewhere" });
    assert.equal(host.activity.isBusy, true); // one program, whoever has it
    one.close();
    await one.closed;
    const last = await adopt(host, two, id);
    await last.stdin.write(new TextEncoder().encode("x\n"));
    assert.equal(await readText(stdoutOf(last)), "got x\n");
    await last.exited;
    assert.equal(host.activity.isBusy, false);
  },
  options,
);

test(
  "AgentJobs.adopt() says that a job has ended, of one that has and of one that never was",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id, session } = await client.jobs.start(script("exit 0", DETACHED), "x");
    await session.exited;
    for (const job of [id, "no-such-job", ""]) {
      const lost = client.jobs.adopt({ job, logSessionId: 1, command: "sh", isTty: false });
      await assert.rejects(lost.started, { code: "jobEnded", job: "sh" });
      await lost.finished;
    }
    await client.ping();
  },
  options,
);

test(
  "Relay refuses jobs on numbers that are used or another's, adoptions past it, and signals that are none",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const { id } = await client.jobs.start(script("sleep 1000", DETACHED), "x");
    await host.jobs.until(({ status }) => status === "running");
    const attempts: readonly ((first: number) => Uint8Array<ArrayBuffer>)[] = [
      () => encodeMessage("jobStart", 0, { token: 1, target: 1, flags: 0, name: "", command: [] }),
      (first) => encodeMessage("jobAttach", 0, { target: first - 2 ** 24, job: id }),
      (first) => encodeMessage("execAdopt", first, { source: 2 ** 24 }),
      () => encodeMessage("jobSignal", 0, { token: 1, job: id, signal: 0, scope: 0 }),
      () => encodeMessage("jobSignal", 0, { token: 1, job: id, signal: 65, scope: 0 }),
      () => encodeMessage("jobSignal", 0, { token: 1, job: id, signal: 9, scope: 2 }),
    ];
    for (const attempt of attempts) {
      using raw = await RawClient.connect(host.path);
      const { firstStream } = await raw.welcome();
      raw.connection.send(attempt(firstStream));
      const refusal = await raw.next();
      assert(refusal.name === "error", refusal.name);
      await raw.connection.closed;
    }
    using raw = await RawClient.connect(host.path);
    const { firstStream } = await raw.welcome();
    const fields = { token: 1, target: firstStream, flags: 0, name: "", command: [] };
    raw.connection.send(encodeMessage("jobStart", 0, fields));
    assert.equal((await raw.next()).name, "jobAnswer");
    raw.connection.send(encodeMessage("jobStart", 0, fields)); // the same number again
    const refusal = await raw.next();
    assert(refusal.name === "error" && refusal.fields.code === WireError.badStream);
    assert.equal(host.jobs.records.get(id)?.status, "running");
  },
  options,
);

test(
  "Jobs refuses more jobs than the guest takes programs, and texts that are too long",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    const { firstStream } = await raw.welcome();
    const ask = async (target: number, name = "", command: string[] = []) => {
      raw.connection.send(encodeMessage("jobStart", 0, { token: 7, target, flags: 0, name, command }));
      const answer = await raw.next();
      assert(answer.name === "jobAnswer" && answer.fields.token === 7);
      return answer.fields.failure;
    };
    assert.equal(await ask(firstStream, "x".repeat(129)), JobFailure.other);
    assert.equal(await ask(firstStream + 1, "x".repeat(128)), JobFailure.none);
    for (let i = 2; i <= SESSIONS_MAX; i++) assert.equal(await ask(firstStream + i), JobFailure.none);
    assert.equal(await ask(firstStream + 1 + SESSIONS_MAX), JobFailure.tooMany);
    raw.connection.send(encodeMessage("close", firstStream + 1, {}));
    assert.equal(await ask(firstStream + 2 + SESSIONS_MAX), JobFailure.none);
  },
  options,
);

test(
  "Relay tells a job that a draining sandbox takes no programs",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    host.activity.isDraining = true;
    const { id, session } = await client.jobs.start(script("true", DETACHED), "x");
    await assert.rejects(session.started, { code: "execFailed", kind: "shuttingDown" });
    assert.equal(host.jobs.records.get(id)?.status, "failed");
  },
  options,
);
