/** `msb ls` and `msb ps`: the sandboxes of this home. @module */
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { Sandbox, type SandboxStatus } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { collect, parsePair } from "../parse.ts";
import { toRecord } from "../sandbox_flags.ts";
import { listSandboxes, showSandboxes } from "../sandbox_table.ts";

const LIVE: readonly SandboxStatus[] = ["creating", "running", "draining", "paused"];
const ENDED: readonly SandboxStatus[] = ["stopped", "crashed"];

export function listCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("list")
    .alias("ls")
    .description("list all sandboxes")
    .option("--running", "only running ones")
    .option("--stopped", "only stopped ones")
    .addOption(new Option("-a, --all", "the default: all are listed").hideHelp())
    .option("--label <KEY=VALUE>", "only those with this label; repeatable", collect(parsePair))
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only names")
    .action(async ({ running, stopped, label, ...flags }) => {
      const status = running === stopped ? undefined : running === true ? LIVE : ENDED;
      const handles = await listSandboxes({ status, labels: toRecord(label) });
      const empty = "No sandboxes. `msb run alpine` makes one.";
      await showSandboxes(cli, handles, { ...flags, json: wantsJson(flags) }, empty);
    });
}

export function statusCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("status")
    .alias("ps")
    .description("list running sandboxes, or show one")
    .argument("[name]", "only this one, whatever its status")
    .option("-a, --all", "stopped ones, too")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only names")
    .action(async (name, { all, ...flags }) => {
      const handles =
        name === undefined
          ? await listSandboxes({ status: all === true ? undefined : LIVE })
          : [await Sandbox.get(name)];
      await showSandboxes(cli, handles, { ...flags, json: wantsJson(flags) }, "No sandbox is running.");
    });
}
