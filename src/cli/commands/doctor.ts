/** `msb doctor`: whether this machine can run sandboxes, and what to do if not. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type DoctorReport, doctor } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Output } from "../output.ts";
import { formatJson } from "../table.ts";
import { versionLine } from "../version.ts";

export function doctorCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("doctor")
    .summary("say whether this machine can run sandboxes")
    .description(
      "Says whether this machine can run sandboxes, and what to do if not. Exits with 1 if it cannot.",
    )
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (flags) => {
      const report = await doctor();
      await cli.stdout.write(wantsJson(flags) ? formatJson(report) : formatReport(report, cli.stdout));
      if (report.engine === undefined) cli.exitStatus = ExitStatus.failure;
    });
}

/** What is there with its path, what is not with why and what to do; and what follows from it. */
export function formatReport(report: DoctorReport, output: Output): string {
  const { engine, checks } = report;
  const lines = checks.flatMap(({ name, found, problem }) => {
    const line = `  ${mark(found !== undefined, output)} ${name.padEnd(10)} ${found ?? problem?.message ?? "not found"}`;
    return problem?.hint ? [line, `      ${output.style("cyan", "hint:")} ${problem.hint}`] : [line];
  });
  return `${[
    versionLine(),
    ...lines,
    `${mark(engine !== undefined, output)} ${output.style("bold", verdictOf(report))}`,
  ].join("\n")}\n`;
}

function verdictOf({ engine, kvm, reason }: DoctorReport): string {
  if (engine === undefined) return `Sandboxes cannot run here: ${reason}.`;
  return `Sandboxes run on ${engine}${kvm ? "" : ", by emulation: slowly"}.`;
}

function mark(isThere: boolean, output: Output): string {
  return isThere ? output.style("green", "✓") : output.style("red", "✗");
}
