/** Servers in a real guest, reached from the host. @module */
import assert from "node:assert/strict";
import { ConnectFailedError, type Sandbox } from "../../mod.ts";
import { homeTest } from "../support/vm.ts";

const PORT = 8080;
const ATTEMPTS_MAX = 200;
const ATTEMPT_INTERVAL_MS = 50;

/** Starts a web server in the guest, which ends with the guest; resolves when it answers. */
async function serve(sandbox: Sandbox, text: string): Promise<void> {
  await sandbox.shell(`mkdir -p /srv && echo "$TEXT" > /srv/index.html`, { env: { TEXT: text } });
  await sandbox.shell(`httpd -h /srv -p 127.0.0.1:${PORT}`);
  for (let attempt = 1; ; attempt++) {
    try {
      return (await sandbox.connect(PORT)).close();
    } catch (error) {
      if (!(error instanceof ConnectFailedError) || attempt === ATTEMPTS_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_INTERVAL_MS));
    }
  }
}

homeTest("fetch() reaches a server in a guest that has no network", async ({ create }) => {
  const sandbox = await create();
  await serve(sandbox, "hello from the guest");
  const response = await sandbox.fetch(PORT, "/index.html");
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "hello from the guest\n");
  assert.equal((await sandbox.fetch(PORT, "/absent")).status, 404);
  await assert.rejects(sandbox.fetch(PORT + 1, "/"), ConnectFailedError);
});
