/** `msb create` and `msb restore`: a sandbox in the background, with nothing in it yet. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxOptions } from "../../../mod.ts";
import { withBootProgress } from "../boot.ts";
import type { CliContext } from "../context.ts";
import { asIsOption, originOptions, toSandboxOptions, withSandboxFlags } from "../sandbox_flags.ts";

export function createCommand(cli: CliContext): CommandUnknownOpts {
  return withSandboxFlags(new Command("create"))
    .summary("create a sandbox and boot it in the background")
    .description(
      "Creates a sandbox and boots it in the background; prints its name. Programs are run in it by `msb exec`.",
    )
    .argument("<image>", "a reference such as alpine, or a path such as ./rootfs or ./image.tar")
    .addOption(asIsOption())
    .action((image, flags) =>
      boot(cli, flags, { ...toSandboxOptions(flags), ...originOptions(image, flags) }),
    );
}

export function restoreCommand(cli: CliContext): CommandUnknownOpts {
  return withSandboxFlags(new Command("restore"))
    .summary("create a sandbox from a snapshot and boot it in the background")
    .description("Like `msb create`, with a copy of a snapshot's disk in the place of an empty one.")
    .argument("<snapshot>", "name of the snapshot")
    .action((fromSnapshot, flags) => boot(cli, flags, { ...toSandboxOptions(flags), fromSnapshot }));
}

async function boot(
  cli: CliContext,
  flags: { readonly quiet?: true | undefined },
  options: SandboxOptions,
): Promise<void> {
  const sandbox = await withBootProgress(cli, flags, (call) =>
    Sandbox.create({ ...options, detached: true }, call),
  );
  await cli.stdout.line(sandbox.name);
}
