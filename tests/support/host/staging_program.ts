/**
 * A program that stages something in its home, creates a run directory, prints both paths, and waits for the end of its
 * input: for tests in which it lives in another PID namespace.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { homeDirectory } from "../../../src/platform/home.ts";
import { stagingPath } from "../../../src/platform/staging.ts";
import { createRunDirectory } from "../../../src/vmm/run_directory/create_and_sweep.ts";

const staged = stagingPath(homeDirectory());
mkdirSync(staged);
process.stdout.write(`${JSON.stringify([staged, createRunDirectory(homeDirectory())])}\n`);
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
