/** `msb load` and `msb save`: images from archives and to them. @module */
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { Image } from "../../../mod.ts";
import type { CliContext } from "../context.ts";
import { showProgress } from "../progress.ts";
import { receiveFile, scratchFile, sendFile } from "../scratch_file.ts";

export function loadCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("load")
    .summary("take images out of an archive")
    .description(
      "Takes the images out of an archive of `docker save`, `podman save`, `skopeo` or `msb save`, from a file or from " +
        "standard input, and prints their names.",
    )
    .argument("[path]", "the archive, or a directory in the OCI image layout")
    .option("-i, --input <path>", "the same as the argument")
    .option("-t, --tag <reference>", "name for the archive's one image")
    .option("-q, --quiet", "no progress")
    .action(async (path, { input = path, tag, quiet }, command) => {
      if (input === undefined && cli.stdin.isTTY === true)
        command.error("error: say which archive to load: msb load PATH");
      using scratch = scratchFile("images.tar");
      if (input === undefined) await receiveFile(cli, scratch.path);
      for (const { reference } of await load(input ?? scratch.path)) await cli.stdout.line(reference);

      async function load(source: string) {
        using progress = showProgress(cli.stderr, { quiet });
        return await Image.load(source, { tag, signal: cli.signal, onProgress: progress.pull });
      }
    });
}

export function saveCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("save")
    .summary("write images to an archive")
    .description(
      "Writes images to an archive that `msb load`, Docker and others read: a file, or standard output.",
    )
    .argument("<references...>", "the images")
    .option("-o, --output <path>", "file to write")
    .addOption(
      new Option("--format <format>", "kind of archive")
        .choices(["docker", "oci"] as const)
        .default("docker" as const),
    )
    .action(async (references, { output, format }, command) => {
      const { signal, stdout } = cli;
      if (output !== undefined) return await Image.save(references, { outputPath: output, format, signal });
      if (stdout.isTerminal)
        command.error(
          "error: an archive is nothing for a terminal: add --output PATH, or redirect the output",
        );
      using scratch = scratchFile("images.tar");
      await Image.save(references, { outputPath: scratch.path, format, signal });
      await sendFile(cli, scratch.path);
    });
}
