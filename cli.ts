#!/usr/bin/env bun
/**
 * The `msb` command: `bun cli.ts`, or `deno run -A cli.ts`. See docs/cli.md.
 *
 * @module
 */
import process from "node:process";
import { Interrupt } from "./src/cli/interrupt.ts";
import { main } from "./src/cli/main.ts";
import { Output } from "./src/cli/output.ts";
import { Warnings } from "./src/cli/warnings.ts";

const words = process.argv.slice(2);
const stdout = new Output(process.stdout, process.env);
const stderr = new Output(process.stderr, process.env);
const warnings = new Warnings(stderr);
process.emitWarning = warnings.emit;
const interrupt = new Interrupt(process, (status) => process.exit(status));
const status = await main(words, { stdin: process.stdin, stdout, stderr, interrupt, warnings });
process.exit(status); // standard input may still be open, and nobody waits for it
