/**
 * Another machine, as far as a sandbox can tell: a network namespace with a server, at the other end of a veth pair. Needs root.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

/** Why this machine cannot have one; `undefined` if it can. */
export const outsideProblem: string | undefined =
  process.getuid?.() !== 0
    ? "needs root for a network namespace"
    : ["unshare", "ip", "python3"].find((program) => spawnSync(program, ["--help"]).error !== undefined);

/** Networks of /30 that nothing else uses; several of these may run at a time. */
const networkOf = (pid: number) => `10.213.${192 + ((pid >> 6) % 62)}.${(pid % 64) * 4}`;

/** The server's machine; gone when `using` leaves its scope. */
export class Outside implements Disposable {
  readonly address: string;
  readonly #child: ChildProcess;

  /** Runs `command` there; resolves when it has written a line. */
  static async start(command: readonly [string, ...string[]]): Promise<Outside> {
    const script =
      'echo namespace; read go; ip link set lo up; ip address add "$go"/30 dev eth0; ip link set eth0 up; exec "$@"';
    const child = spawn("unshare", ["--net", "sh", "-c", script, "sh", ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { pid = 0, stdout, stdin } = child;
    if (stdout === null) throw new Error("a child without output");
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    try {
      await lines.next();
      const address = (number: number) =>
        networkOf(pid).replace(/\d+$/, (last) => String(Number(last) + number));
      const link = `msbo${pid}`;
      const ip = (...args: string[]) => execFileSync("ip", args);
      ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", String(pid));
      ip("address", "add", `${address(1)}/30`, "dev", link);
      ip("link", "set", link, "up");
      stdin?.write(`${address(2)}\n`);
      if ((await lines.next()).done === true) throw new Error("the server outside ended at once");
      return new Outside(child, address(2));
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
  }

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL"); // the pair goes with its namespace
  }
}
