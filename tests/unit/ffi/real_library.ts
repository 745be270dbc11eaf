/** What the tests of this room share: the real libraries, and programs in processes of their own. @module */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../../src/base/errors.ts";
import { Libkrun } from "../../../src/ffi/libkrun.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { temporaryDirectory } from "../../support/harness.ts";

/** Why the real libraries cannot be used here; `undefined` where they can. */
export const libkrunMissing: string | undefined = await Libkrun.load().then(
  () => undefined,
  (error) => messageOf(error),
);

/** How a program ended. */
export interface ProgramEnd {
  exitCode: number | string | undefined;
  signal: string | undefined;
  stdout: string;
  stderr: string;
}

/** Runs TypeScript `source` in a process of this runtime. `import … from "ffi/x.ts"` means `src/ffi/x.ts`. */
export function runProgram(source: string): Promise<ProgramEnd> {
  const directory = temporaryDirectory();
  const file = join(directory.path, "program.ts");
  const ffi = new URL("../../../src/ffi/", import.meta.url).href;
  writeFileSync(file, source.replaceAll('"ffi/', `"${ffi}`));
  const command = runtimeCommand(new URL(`file://${file}`));
  return new Promise((resolve) => {
    execFile(command.file, [...command.args], { timeout: 20_000 }, (error, stdout, stderr) => {
      directory[Symbol.dispose]();
      resolve({ exitCode: error?.code ?? 0, signal: error?.signal ?? undefined, stdout, stderr });
    });
  });
}
