/**
 * Streams a web response through a program in a sandbox, with back-pressure all the way, and stops after a deadline.
 *
 *     bun examples/pipeline.ts ./rootfs
 */
import { Sandbox } from "microsandbox";

await using sandbox = await Sandbox.builder("pipeline")
  .image(process.argv[2] ?? "./rootfs")
  .memory(256)
  .replace()
  .create();

const words = await sandbox.execStream("sort", ["-u"], { signal: AbortSignal.timeout(30_000) });
const source = new Blob(["pear\n", "apple\n", "pear\n", "fig\n"]).stream();
const feeding = source.pipeTo(words.stdin);
console.log(await new Response(words.stdout).text());
await feeding;
console.log("exit code", (await words.wait()).code);
