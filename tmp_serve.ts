import { Sandbox, logStream } from "./mod.ts";
let sandbox: Sandbox;
const held: unknown[] = [];
export default { fetch: async (request: Request) => {
  const path = new URL(request.url).pathname;
  for (const step of path.split("/").filter(Boolean)) {
    if (step === "create") sandbox = await Sandbox.create({ name: "s", image: "/tmp/dc/rootfs", memoryMiB: 128, replace: true });
    if (step === "exec") console.log((await sandbox.exec("echo", ["hi"])).stdout());
    if (step === "detached") held.push(await sandbox.execStream("sh", ["-c", "while :; do date; sleep 1; done"], { detached: true }));
    if (step === "log") { await using s = await logStream("s", { follow: true }); await s.recv(); }
    if (step === "follow") { const s = await logStream("s", { follow: true }); held.push(s); await s.recv(); }
    if (step === "stop") await sandbox.stop();
  }
  return new Response("ok\n"); } };
