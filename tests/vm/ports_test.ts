/** Servers in a real guest, reached from the host. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import {
  ConnectFailedError,
  NetworkError,
  PortInUseError,
  Sandbox,
  SandboxNotFoundError,
} from "../../mod.ts";
import { homeTest } from "../support/vm/vm.ts";

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

homeTest(
  "ports lead from the host to the guest while the sandbox runs, and no longer",
  async ({ create }) => {
    const sandbox = await create({ ports: [{ hostPort: 0, guestPort: PORT }] });
    await serve(sandbox, "published");
    const [published] = await sandbox.network.ports.list();
    assert.ok(published);
    const read = async (hostPort: number) => (await fetch(`http://127.0.0.1:${hostPort}/index.html`)).text();
    assert.equal(await read(published.hostPort), "published\n");

    const added = await sandbox.network.ports.add({ hostPort: 0, guestPort: PORT });
    assert.equal(await read(added.hostPort), "published\n");
    const handle = await Sandbox.get(sandbox.name);
    assert.deepEqual(await handle.network.ports.list(), [published, added]);
    await sandbox.network.ports.remove(added);
    await assert.rejects(read(added.hostPort));
    await assert.rejects(sandbox.network.ports.remove(added), NetworkError);

    await sandbox.stop();
    await assert.rejects(read(published.hostPort));
  },
);

homeTest("create() fails at once where a port is in use, and leaves nothing", async ({ create }) => {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const hostPort = typeof address === "object" && address !== null ? address.port : 0;
  await assert.rejects(create({ ports: [{ hostPort, guestPort: PORT }] }), (error) => {
    assert.ok(error instanceof PortInUseError);
    assert.equal(error.hostPort, hostPort);
    return true;
  });
  server.close();
  await assert.rejects(Sandbox.get("subject"), SandboxNotFoundError);
});
