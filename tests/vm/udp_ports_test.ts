/** Published UDP ports of a real guest, in a network mode without a device and in one with. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NetworkError, PortInUseError, Sandbox } from "../../mod.ts";
import { findProgram } from "../../src/platform/find_program.ts";
import { seededRandom } from "../support/random.ts";
import { userNetworkProblem } from "../support/vm/user_network.ts";
import { homeTest } from "../support/vm/vm.ts";

const SOURCE = fileURLToPath(new URL("../support/guest/udp_echo.c", import.meta.url));
const COMPILER = findProgram("musl-gcc") ?? findProgram("cc");
const missing = COMPILER === undefined ? "no C compiler for the guest's server" : undefined;
const PORT = 5353;
const LOOPBACK = "127.0.0.1";
const ATTEMPTS_MAX = 200;
const ATTEMPT_MS = 50;

/** Puts the server into an image that is still a directory. */
function addServer(image: string): void {
  execFileSync(COMPILER ?? "", ["-static", "-O1", "-o", join(image, "bin", "udp-echo"), SOURCE]);
}

/** Sends `data` until it comes back: the network may lose it, and does until the server listens. */
async function echoes(socket: Socket, data: Uint8Array, port: number): Promise<void> {
  let isBack = false;
  const look = (answer: Buffer) => {
    isBack ||= answer.equals(data); // not an answer to what was asked before, and twice
  };
  socket.on("message", look);
  for (let attempt = 0; attempt < ATTEMPTS_MAX && !isBack; attempt++) {
    socket.send(data, port, LOOPBACK);
    await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
  }
  socket.off("message", look);
  assert.ok(isBack, `${data.length} bytes back from port ${port}`);
}

async function open(): Promise<Socket> {
  const socket = createSocket("udp4").bind(0, LOOPBACK);
  await once(socket, "listening");
  return socket;
}

homeTest(
  "UDP ports lead from the host to the guest while the sandbox runs, and no longer",
  async ({ create, image }) => {
    addServer(image);
    const random = seededRandom("datagrams");
    const sandbox = await create({ ports: [{ protocol: "udp", hostPort: 0, guestPort: PORT }] });
    await sandbox.shell(`udp-echo ${PORT} >/dev/null 2>&1 &`);
    const [published] = await sandbox.network.ports.list();
    assert.ok(published);
    assert.deepEqual([published.protocol, published.bind, published.guestPort], ["udp", LOOPBACK, PORT]);
    const [first, second] = await Promise.all([open(), open()]);
    for (const size of [1, 1400, 9000, 65_507]) {
      await Promise.all(
        [first, second].map((socket) => echoes(socket, random.bytes(size), published.hostPort)),
      );
    }

    const { hostPort } = published;
    const beside = await sandbox.network.ports.add({ hostPort, guestPort: PORT });
    assert.equal(beside.protocol, "tcp");
    const again = sandbox.network.ports.add({ protocol: "udp", hostPort, guestPort: PORT });
    await assert.rejects(again, PortInUseError);
    const taken = create({ name: "other", ports: [{ protocol: "udp", hostPort, guestPort: PORT }] });
    await assert.rejects(taken, PortInUseError);
    const handle = await Sandbox.get(sandbox.name);
    await handle.network.ports.remove({ protocol: "udp", hostPort });
    await assert.rejects(handle.network.ports.remove({ protocol: "udp", hostPort }), NetworkError);
    assert.deepEqual(await sandbox.network.ports.list(), [beside]);

    await sandbox.stop();
    const free = createSocket("udp4").bind(hostPort, LOOPBACK);
    await once(free, "listening");
    for (const socket of [first, second, free]) socket.close();
  },
  { missing },
);

homeTest(
  "UDP ports lead through the guest's agent where the guest has a network device, too",
  async ({ create, image }) => {
    addServer(image);
    const sandbox = await create({
      network: { mode: "user", via: "passt" },
      ports: [{ protocol: "udp", hostPort: 0, guestPort: PORT }],
    });
    await sandbox.shell(`udp-echo ${PORT} >/dev/null 2>&1 &`);
    const [published] = await sandbox.network.ports.list();
    assert.ok(published);
    const socket = await open();
    await echoes(socket, new TextEncoder().encode("to and fro"), published.hostPort);
    socket.close();
  },
  { missing: missing ?? userNetworkProblem },
);
