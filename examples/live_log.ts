/**
 * A page that shows what a sandbox prints, as it prints it, and resumes exactly after a lost connection.
 *
 *     bun examples/live_log.ts        # or: deno serve -A --port 3000 examples/live_log.ts
 *
 * Then open http://localhost:3000/. It boots `./rootfs`, or the directory in ROOTFS; the sandbox ends with this program.
 */
import { logResponse, logStream, Sandbox } from "microsandbox";

const PAGE = `<!doctype html><meta charset="utf-8"><title>Live log</title>
<h1>What the sandbox prints</h1><pre id="log"></pre>
<script>
  const events = new EventSource("/log"); // says by itself where it was, when it connects again
  events.onmessage = ({ data }) => { log.textContent += JSON.parse(data).d; };
  events.addEventListener("end", () => events.close());
</script>`;

const sandbox = await Sandbox.builder("live-log")
  .image(process.env["ROOTFS"] ?? "./rootfs")
  .memory(256)
  .replace()
  .create();
// Detached: its output is not read here, and goes to the log alone.
await sandbox.execStream("sh", ["-c", "while :; do date; sleep 1; done"], { detached: true });

export default {
  port: Number(process.env["PORT"] ?? 3000), // for Bun
  fetch(request: Request): Response | Promise<Response> {
    if (new URL(request.url).pathname !== "/log")
      return new Response(PAGE, { headers: { "content-type": "text/html" } });
    return logResponse(request, (fromCursor) => logStream(sandbox.name, { follow: true, fromCursor }));
  },
};
