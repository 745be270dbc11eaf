/**
 * The VM host process without a VM: the real relay, link and log tap over an agent that runs as an ordinary process.
 * Run as a child of the bench; it ends when its standard input does.
 *
 *     native_host_main.ts DIRECTORY AGENT_COMMAND_JSON log|no-log
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openExecLogWriter } from "../../src/logs/exec_log_writer.ts";
import type { UnixConnection } from "../../src/platform/unix_connection.ts";
import { listenUnix } from "../../src/platform/unix_socket.ts";
import { Activity } from "../../src/vmm/host/activity.ts";
import { AgentLink } from "../../src/vmm/host/agent_link.ts";
import { LogTap, type TapTarget } from "../../src/vmm/host/log_tap.ts";
import { Relay } from "../../src/vmm/host/relay.ts";
import { noJobs } from "../../tests/support/host/memory_jobs.ts";

const SANDBOX_ID = "bench";
const NO_LOG: TapTarget = { append() {}, endOfStream() {} };

async function main(directory: string, agentCommand: readonly string[], logs: boolean): Promise<void> {
  const connected = Promise.withResolvers<UnixConnection>();
  const port = await listenUnix(join(directory, "agent.sock"), (connection) => connected.resolve(connection));
  const [file = "", ...args] = agentCommand;
  const agent = spawn(file, [...args, join(directory, "agent.sock")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const link = new AgentLink(await connected.promise);
  await port.close();
  await link.hello();
  await link.boot({
    imageDevice: "",
    imageType: "",
    upperDevice: "",
    upperType: "tmpfs",
    upperOptions: "",
    upperFlags: 0,
    hostname: "",
    hosts: "",
    resolvConf: "",
  });
  const noVm = () => Promise.reject(new Error("there is no VM"));
  const handlers = {
    stop() {},
    kill() {},
    limits() {},
    drain() {},
    left() {},
    pause: noVm,
    holdWrites: noVm,
    measure: noVm,
    processes: noVm,
  };
  const activity = new Activity({ active() {}, busy() {}, idle() {} });
  const relay = await Relay.listen(join(directory, "relay.sock"));
  const logDirectory = join(directory, "logs");
  mkdirSync(logDirectory);
  const target = logs ? openExecLogWriter({ directory: logDirectory, sandboxId: SANDBOX_ID }) : NO_LOG;
  const tap = new LogTap(target, 1);
  relay.serve({ link, activity, tap, jobs: noJobs(), handlers, sandboxId: SANDBOX_ID, bootNumber: 1 });
  process.stdout.write("ready\n");
  const cpu = process.cpuUsage();
  process.stdin.on("end", () => {
    const { user, system } = process.cpuUsage(cpu);
    agent.kill("SIGKILL");
    process.stdout.write(`${JSON.stringify({ userMs: user / 1000, systemMs: system / 1000 })}\n`, () =>
      process.exit(0),
    );
  });
  process.stdin.resume();
}

const [directory = "", agentCommand = "[]", logs] = process.argv.slice(2);
await main(directory, JSON.parse(agentCommand), logs === "log");
