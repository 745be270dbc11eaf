/** Third-party servers that a guest's programs talk to: each on loopback, with its files below a directory. @module */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { originCertificate } from "./origin.ts";
import { freePort, type ServerProgram, startServer } from "./real_guest.ts";

/** Debian keeps the server's programs out of PATH, by version. */
const postgresPrograms: string | undefined = findPostgres();

function findPostgres(): string | undefined {
  const root = "/usr/lib/postgresql";
  if (!existsSync(root)) return undefined;
  const found = readdirSync(root).map((version) => join(root, version, "bin"));
  return found.find((directory) => existsSync(join(directory, "initdb")));
}

/** Why there can be no PostgreSQL here; `undefined` where there can. */
export const postgresProblem: string | undefined =
  postgresPrograms === undefined ? "needs PostgreSQL's server" : undefined;

/** PostgreSQL for the user `tester`, with a certificate for `host`. It refuses to run as root. */
export async function startPostgres(directory: string, host: string): Promise<ServerProgram> {
  const programs = postgresPrograms ?? "";
  const port = await freePort();
  const data = join(directory, "data");
  const as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] as const;
  chmodSync(directory, 0o755);
  mkdirSync(data, { mode: 0o700 });
  execFileSync("chown", ["postgres", data]);
  execFileSync(as[0], [
    ...as.slice(1),
    join(programs, "initdb"),
    ...["-D", data, "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync", "--username=tester"],
  ]);
  const { key, cert } = originCertificate(host);
  for (const [name, text] of [
    ["server.key", key],
    ["server.crt", cert],
  ] as const) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
    execFileSync("chown", ["postgres", join(data, name)]);
  }
  const settings = ["ssl=on", "fsync=off", "listen_addresses=127.0.0.1", "unix_socket_directories="];
  return await startServer(
    port,
    [
      ...as,
      join(programs, "postgres"),
      ...["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
    ],
    "SIGINT", // "fast": does not wait for clients
  );
}

/** Redis that keeps nothing. */
export async function startRedis(directory: string): Promise<ServerProgram> {
  const port = await freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""];
  return await startServer(port, ["redis-server", ...options]);
}

const SSHD = "/usr/sbin/sshd";

/** Why there can be no OpenSSH here; `undefined` where there can. */
export const sshdProblem: string | undefined = existsSync(SSHD) ? undefined : "needs OpenSSH's server";

/** Where a client finds its files. */
export interface SshFiles {
  /** Its private key. */
  readonly key: string;
  /** The servers that it knows. */
  readonly knownHosts: string;
}

/** Options of `ssh` and `scp` that take these files and nothing of the machine's. */
export function sshOptions({ key, knownHosts }: SshFiles): readonly string[] {
  const options = ["BatchMode=yes", "ControlMaster=no", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"];
  const files = [`UserKnownHostsFile=${knownHosts}`, `IdentityFile=${key}`, "ConnectTimeout=30"];
  return ["-F", "none", ...[...options, ...files].flatMap((option) => ["-o", option])];
}

/**
 * OpenSSH for root, by a key.
 *
 * @param name What a client calls the server.
 * @param knownPort The port as the client sees it. @default the port on loopback
 */
export async function startSshd(
  directory: string,
  name: string,
  knownPort?: number,
): Promise<ServerProgram & { readonly files: SshFiles; readonly options: readonly string[] }> {
  const file = (base: string) => join(directory, base);
  for (const base of ["host", "client"])
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(base)]);
  writeFileSync(file("authorized"), readFileSync(file("client.pub")));
  mkdirSync("/run/sshd", { recursive: true }); // a boot makes it; containers have none
  const port = await freePort();
  writeFileSync(file("known"), `[${name}]:${knownPort ?? port} ${readFileSync(file("host.pub"), "utf8")}`);
  const settings = [
    ...[`Port=${port}`, "ListenAddress=127.0.0.1", `HostKey=${file("host")}`, "PidFile=none"],
    ...[`AuthorizedKeysFile=${file("authorized")}`, "StrictModes=no", "UsePAM=no", "UseDNS=no"],
    ...["PermitRootLogin=prohibit-password", "Subsystem=sftp internal-sftp"],
  ];
  const words = ["-D", "-e", "-f", "/dev/null", ...settings.flatMap((setting) => ["-o", setting])];
  const server = await startServer(port, [SSHD, ...words]);
  const files = { key: file("client"), knownHosts: file("known") };
  return { ...server, files, options: sshOptions(files) };
}

const HTTP_SERVERS = fileURLToPath(new URL("http_servers.py", import.meta.url));

/** Python's HTTP server and one of plain TCP, as the program's first lines describe them. */
export async function startHttpServers(): Promise<{ http: number; tcp: number } & AsyncDisposable> {
  const [http, tcp] = [await freePort(), await freePort()];
  const server = await startServer(http, ["python3", HTTP_SERVERS, String(http), String(tcp)]);
  return { http, tcp, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
