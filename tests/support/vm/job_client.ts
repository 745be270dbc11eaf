/**
 * A process that starts jobs one after the other, writes to them and reads them, until it is killed: what users' programs
 * are when their machine, their terminal or their patience ends.
 *
 * Run as a program, it takes the sandbox's name and a seed. It says each job that it has started, in one line of JSON.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Sandbox } from "../../../mod.ts";
import { LineChild } from "../../../src/platform/child.ts";
import { randomOf } from "../random.ts";

/** What a client says of a job that it has started. */
export interface ReportedJob {
  readonly id: string;
  readonly name: string;
}

/** What a job does, which is all in its name: it reads a line if it `reads`, writes lines, and exits. */
export interface JobScript {
  readonly reads: boolean;
  readonly lines: number;
  readonly code: number;
}

const PROGRAM = fileURLToPath(import.meta.url);
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const NAME = /^j-[0-9a-f]+-(?<reads>[01])-(?<lines>\d+)-(?<code>\d+)$/;

/** What the job of that name does. */
export function scriptOf(name: string): JobScript {
  const { reads, lines, code } = NAME.exec(name)?.groups ?? {};
  return { reads: reads === "1", lines: Number(lines), code: Number(code) };
}

function textOf({ reads, lines, code }: JobScript): string {
  const read = reads ? "read line; echo got $line; " : "";
  return `${read}i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1)); [ $((i % 50)) = 0 ] && sleep 0.005; done; exit ${code}`;
}

/** A client of the sandbox `name`, until it is killed. */
export class JobClient {
  readonly #child: LineChild;

  static async start(name: string, seed: number): Promise<JobClient> {
    const run = "Bun" in globalThis ? [PROGRAM] : ["run", "-A", "--no-check", "--quiet", PROGRAM];
    const env = { ...process.env, MSB_TEST_JOB_CLIENT: "1" } as Record<string, string>;
    delete env["MSB_ONLY_IGNORED"];
    const args = [...run, name, String(seed)];
    return new JobClient(
      await LineChild.spawn({ file: process.execPath, args, env, cwd: PROJECT, stderr: 2 }),
    );
  }

  private constructor(child: LineChild) {
    this.#child = child;
  }

  /** The next job that it has started; `undefined` once it has ended. */
  async next(): Promise<ReportedJob | undefined> {
    const line = await this.#child.nextLine();
    return line === undefined ? undefined : JSON.parse(line);
  }

  async kill(): Promise<void> {
    this.#child.kill();
    await this.#child.exited;
  }
}

async function main(name: string, seed: number): Promise<never> {
  const random = randomOf(seed);
  const sandbox = await (await Sandbox.get(name)).connect();
  for (let number = 0; ; number++) {
    const script = {
      reads: random.integer(0, 2) === 0,
      lines: random.integer(0, 400),
      code: random.integer(0, 200),
    };
    const jobName = `j-${seed.toString(16)}${number.toString(16)}-${Number(script.reads)}-${script.lines}-${script.code}`;
    const job = await sandbox.startJob("sh", ["-c", textOf(script)], {
      name: jobName,
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      stdin: script.reads ? "pipe" : "null",
    });
    process.stdout.write(`${JSON.stringify({ id: job.id, name: jobName } satisfies ReportedJob)}\n`);
    const work: Promise<unknown>[] = [];
    if (script.reads) work.push(feed(job.stdin.getWriter(), random.integer(0, 1) === 0));
    if (random.integer(0, 1) === 0) work.push(readAll(await job.output({ follow: true })));
    if (random.integer(0, 1) === 0) await Promise.all(work); // or go on, and leave several running at once
  }
}

async function feed(writer: WritableStreamDefaultWriter<Uint8Array>, closes: boolean): Promise<void> {
  await writer.write(new TextEncoder().encode("client\n"));
  if (closes) await writer.close();
}

async function readAll(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

if (process.env["MSB_TEST_JOB_CLIENT"] === "1") {
  const [name = "", seed = ""] = process.argv.slice(2);
  await main(name, Number(seed));
}
