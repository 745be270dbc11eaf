/**
 * Started by writer_test.ts with SIGXFSZ ignored: writes a log, meets a limit on the size of files, which fails writes
 * as a full disk does (in the middle of a record, too), and continues when the limit is lifted.
 */
import { spawnSync } from "node:child_process";
import { openExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { openTextLogWriter } from "../../../src/logs/text_log_writer.ts";

const [directory = ""] = process.argv.slice(2);
const LIMIT_BYTES = 300;

function limitFiles(size: string): void {
  const { status } = spawnSync("prlimit", ["--pid", String(process.pid), `--fsize=${size}:unlimited`]);
  if (status !== 0) throw new Error("prlimit failed");
}

using exec = openExecLogWriter({ directory, sandboxId: "full-disk" });
using kernel = openTextLogWriter({ directory, sandboxId: "full-disk", filename: "kernel.log" });
exec.append("stdout", 1, Buffer.from("before\n"));
limitFiles(String(LIMIT_BYTES));
for (let i = 0; i < 20; i++) {
  exec.append("stdout", 1, Buffer.from(`lost or not ${String(i).padStart(3, "0")}\n`));
  kernel.write(Buffer.from(`console ${String(i).padStart(3, "0")}\n`));
}
limitFiles("unlimited");
exec.append("stdout", 1, Buffer.from("after\n"));
kernel.write(Buffer.from("after\n"));
const { lostRecords, lostBytes } = exec;
console.log(JSON.stringify({ lostRecords, lostBytes, kernelLostBytes: kernel.lostBytes }));
