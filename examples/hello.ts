/**
 * Boots a sandbox from a directory and runs a program in it.
 *
 *     scripts/busybox-rootfs ./rootfs
 *     bun examples/hello.ts ./rootfs        # or: deno run -A examples/hello.ts ./rootfs
 */
import { Sandbox } from "microsandbox";

await using sandbox = await Sandbox.builder("hello")
  .image(process.argv[2] ?? "./rootfs")
  .memory(256)
  .replace()
  .create();

const output = await sandbox.exec("uname", ["-a"]);
console.log(output.code, output.stdout());

for await (const event of await sandbox.execStream("sh", ["-c", "echo a; echo b >&2; exit 7"])) {
  if (event.kind === "stdout" || event.kind === "stderr") process.stdout.write(event.data);
  if (event.kind === "exited") console.log("exit code", event.code);
}
