/** Programs that stand in for those of a guest. @module */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sandboxAuthority } from "./origin.ts";

/** How long one may take. */
const PROGRAM_MS_MAX = 30_000;

/** What a program said. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

let authorityPath: string | undefined;

/** The file that a guest's programs would find the sandbox's authority in. */
export function authorityFile(): string {
  if (authorityPath === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "msb-authority-"));
    process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
    authorityPath = join(directory, "ca.pem");
    writeFileSync(authorityPath, sandboxAuthority.certificate);
  }
  return authorityPath;
}

/** Runs a program to its end, whether it succeeds or not. @throws if it cannot be started. */
export function program(
  file: string,
  words: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Output> {
  const env = { ...process.env, ...options.env };
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      words,
      { timeout: PROGRAM_MS_MAX, maxBuffer: 2 ** 26, env },
      (error, stdout, stderr) => {
        if (error?.code === "ENOENT") reject(error);
        else
          resolve({
            stdout,
            stderr,
            exitCode: typeof error?.code === "number" ? error.code : error === null ? 0 : -1,
          });
      },
    );
    child.stdin?.on("error", () => {}); // it may end before it has read all
    child.stdin?.end(options.input);
  });
}

/** Runs curl as in the guest: every connection leads to the listener. `status` is that of the last response. */
export async function curl(
  listener: { readonly port: number },
  words: readonly string[],
  input?: string,
): Promise<Output & { status: number }> {
  const output = await program(
    "curl",
    [
      ...[
        "--silent",
        "--show-error",
        "--cacert",
        authorityFile(),
        "--connect-to",
        `::127.0.0.1:${listener.port}`,
      ],
      ...["--write-out", "%{stderr}\nstatus=%{response_code}\n", ...words],
    ],
    input === undefined ? {} : { input },
  );
  return { ...output, status: Number(/\nstatus=(\d+)\n$/.exec(output.stderr)?.[1]) };
}
