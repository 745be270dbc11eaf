/** `msb attach`: back to a program that was detached from. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { DETACHED, type Job, Sandbox, type SandboxHandle } from "../../../mod.ts";
import { attachStatus, detachKeysOption, noDetachKeysOption, tellDetached } from "../attach.ts";
import type { CliContext } from "../context.ts";
import { shortCommand } from "./job.ts";

export function attachCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("attach")
    .summary("attach to a program that was detached from")
    .description(
      "Connects this terminal to a job of the sandbox that runs on a terminal of its own, and exits as it does. A signal " +
        "ends msb alone. Without JOB it is the only one there is.",
    )
    .argument("<name>", "the sandbox")
    .argument("[job]", "the job's name or id")
    .addOption(detachKeysOption())
    .addOption(noDetachKeysOption())
    .action(async (name, idOrName, { detachKeys }) => {
      const sandbox = await Sandbox.get(name);
      const job = idOrName === undefined ? await onlyJob(sandbox) : await sandbox.job(idOrName);
      if (!job.tty) throw new Error(noTerminal(job));
      const code = await job.attach({ detachKeys, signal: cli.signal });
      if (code === DETACHED) await tellDetached(cli, name, job);
      cli.exitStatus = attachStatus(code);
    });
}

function noTerminal({ name, id }: Job): string {
  const does = "`msb job logs` shows what it writes, `msb job input` writes to it";
  return `The job ${JSON.stringify(name ?? id)} does not run on a terminal: ${does}`;
}

async function onlyJob(sandbox: Pick<SandboxHandle, "jobs" | "name">): Promise<Job> {
  const open = (await sandbox.jobs()).filter(({ tty, status }) => tty && status === "running");
  const [job] = open;
  if (job !== undefined && open.length === 1) return job;
  const where = `in ${JSON.stringify(sandbox.name)}`;
  if (job === undefined) throw new Error(`No program runs on a terminal ${where}`);
  const names = open.map((other) => `${other.name ?? other.id} (${shortCommand(other)})`);
  throw new Error(`Several programs run on terminals ${where}, say which: ${names.join(", ")}`);
}
