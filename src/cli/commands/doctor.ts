/** `msb doctor`: whether this machine can run sandboxes, and what to do if not. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type DoctorProblem, type DoctorReport, doctor } from "../../../mod.ts";
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
  const { engine, kvm, libkrun, libkrunfw, qemu, problems } = report;
  const check = (
    label: string,
    isThere: boolean,
    detail: string,
    kinds: readonly DoctorProblem["kind"][],
  ) => {
    const found = problems.find(({ kind }) => kinds.includes(kind));
    const line = `  ${mark(isThere, output)} ${label.padEnd(10)} ${isThere ? detail : (found?.message ?? "not found")}`;
    const advice = `      ${output.style("cyan", "hint:")} ${found?.hint}`;
    return isThere || !found?.hint ? [line] : [line, advice];
  };
  return `${[
    versionLine(),
    ...check("KVM", kvm, "runs guests", [
      "kvmMissing",
      "kvmPermission",
      "noVirtualization",
      "kvmTrialFailed",
    ]),
    ...check("libkrun", libkrun !== undefined, libkrun ?? "", ["libkrunMissing"]),
    ...check("libkrunfw", libkrunfw !== undefined, libkrunfw ?? "", ["libkrunfwMissing"]),
    ...check("qemu", qemu !== undefined, qemu ?? "", ["qemuMissing"]),
    `${mark(engine !== undefined, output)} ${output.style("bold", verdictOf(report))}`,
  ].join("\n")}\n`;
}

function verdictOf({ engine, kvm, reason }: DoctorReport): string {
  if (engine === undefined) return `Sandboxes cannot run here: ${reason}.`;
  if (engine === "krun") return "Sandboxes run on krun.";
  return kvm ? "Sandboxes run on qemu, with KVM." : "Sandboxes run on qemu, by emulation: slowly.";
}

function mark(isThere: boolean, output: Output): string {
  return isThere ? output.style("green", "✓") : output.style("red", "✗");
}
