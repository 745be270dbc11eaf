/**
 * The programs of others that these tests compare with: from Debian's packages, run by hand on loopback.
 *
 * @module
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Readable } from "node:stream";
import { within } from "../../support/within.ts";

const TOOLS = ["docker-registry", "skopeo", "umoci", "fsck.erofs", "htpasswd", "openssl", "getfattr"];
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;
const START_TIMEOUT_MS = 60_000;

/** Why these tests cannot run here; `undefined` where they can. */
export const toolsProblem: string | undefined = findProblem();

function findProblem(): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  const missing = TOOLS.filter((tool) => !directories.some((directory) => existsSync(join(directory, tool))));
  if (missing.length > 0) return `needs ${missing.join(", ")}`;
  return process.getuid?.() === 0 ? undefined : "needs root, as umoci unpacks owners and devices";
}

/** Runs a program to its end and gives its output; a failure has its words. */
export function run(program: string, args: readonly string[], cwd?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: OUTPUT_BYTES_MAX, ...(cwd === undefined ? {} : { cwd }) };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${args.join(" ")}: ${error.message}\n${stderr}`));
    });
  });
}

export interface RegistryProcessOptions {
  /** User and password that it wants. */
  readonly login?: { readonly username: string; readonly password: string };
  /** Paths of a certificate and its key. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** Debian's docker-registry on a port of its own, with its data in `directory`. */
export class RegistryProcess {
  readonly host: string;
  readonly #child: ChildProcess;

  private constructor(host: string, child: ChildProcess) {
    this.host = host;
    this.#child = child;
  }

  static async start(directory: string, options: RegistryProcessOptions = {}): Promise<RegistryProcess> {
    mkdirSync(directory, { recursive: true });
    const config: Record<string, unknown> = {
      version: 0.1,
      log: { level: "info", accesslog: { disabled: true } }, // which tells the port
      storage: { filesystem: { rootdirectory: join(directory, "data") } },
      http: {
        addr: "127.0.0.1:0",
        ...(options.tls === undefined
          ? {}
          : { tls: { certificate: options.tls.certificate, key: options.tls.key } }),
      },
    };
    if (options.login !== undefined) {
      const { username, password } = options.login;
      const path = join(directory, "htpasswd");
      writeFileSync(path, await run("htpasswd", ["-Bbn", username, password]));
      config["auth"] = { htpasswd: { realm: "test", path } };
    }
    const path = join(directory, "config.yml");
    writeFileSync(path, JSON.stringify(config)); // YAML has JSON in it
    const child = spawn("docker-registry", ["serve", path], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const port = await within(START_TIMEOUT_MS, "the start of a registry", () => portOf(child.stderr));
    return new RegistryProcess(`localhost:${port}`, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** The port that a registry says it listens at. What it says later is nobody's business, but has to be taken. */
function portOf(log: Readable): Promise<number> {
  let text = "";
  return new Promise((resolve, reject) => {
    log.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
    log.once("end", () => reject(new Error(`the registry ended:\n${text}`)));
  });
}

/** A private authority and a certificate for `localhost` that it has signed. */
export async function makeCertificates(
  directory: string,
): Promise<{ authority: string; certificate: string; key: string }> {
  mkdirSync(directory, { recursive: true });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await run(
    "openssl",
    ["req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"],
    directory,
  );
  await run(
    "openssl",
    ["req", ...curve, "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=localhost"],
    directory,
  );
  writeFileSync(join(directory, "extensions"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const sign = ["x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
  await run("openssl", [...sign, "-out", "s.pem", "-days", "2", "-extfile", "extensions"], directory);
  const path = (name: string): string => join(directory, name);
  return { authority: path("ca.pem"), certificate: path("s.pem"), key: path("s.key") };
}
