/**
 * A web server in a sandbox that has no network at all, asked from outside without a published port.
 *
 *     bun examples/server.ts ./rootfs        # or: deno run -A examples/server.ts ./rootfs
 */
import { Sandbox } from "microsandbox";

await using sandbox = await Sandbox.builder("server")
  .image(process.argv[2] ?? "./rootfs")
  .memory(256)
  .replace()
  .create();

await sandbox.shell(
  "mkdir -p /srv && echo 'hello from a microVM' > /srv/index.html && httpd -p 8080 -h /srv",
);
const response = await sandbox.fetch(8080, "/index.html");
console.log(response.status, await response.text());
