/** `msb pull`: an image from its registry. @module */
import { readFileSync } from "node:fs";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Image } from "../../../mod.ts";
import type { CliContext } from "../context.ts";
import { formatBytes } from "../format.ts";
import { collect } from "../parse.ts";
import { showProgress } from "../progress.ts";

export function pullCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("pull")
    .summary("download an image")
    .description(
      "Downloads an image, or what has changed of it since, and prints its full name. " +
        "Credentials are those of Docker's client configuration.",
    )
    .argument("<reference>", "e.g. alpine, ghcr.io/team/app:v1")
    .option("--platform <os/architecture>", "which one of a multi-platform image, e.g. linux/arm64")
    .option("--insecure", "speak plain HTTP")
    .option(
      "--ca-certs <path>",
      "PEM file of further certificate authorities; repeatable",
      collect((path) => path),
    )
    .option("-q, --quiet", "no progress")
    .action(async (reference, { platform, insecure, caCerts = [], quiet }) => {
      const image = await pull();
      const { stdout } = cli;
      await stdout.line(
        stdout.isTerminal ? `${image.reference}  ${formatBytes(image.sizeBytes)}` : image.reference,
      );

      async function pull() {
        using progress = showProgress(cli.stderr, { quiet });
        const registry = { insecure, caCerts: caCerts.map((path) => readFileSync(path, "utf8")) };
        return await Image.pull(reference, {
          platform,
          registry,
          signal: cli.signal,
          onProgress: progress.pull,
        });
      }
    });
}
