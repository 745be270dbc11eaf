import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeMessage, encodeMessage } from "../../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../../src/agent/frame.ts";
import { BootStage, type Message, PROTOCOL_VERSION } from "../../../../src/agent/protocol.ts";
import type { UnixConnection } from "../../../../src/platform/unix_connection.ts";
import { connectUnix, listenUnix } from "../../../../src/platform/unix_socket.ts";
import { AgentLink } from "../../../../src/vmm/host/agent_link.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const GUEST = {
  imageDevice: "/dev/vdb",
  imageType: "erofs",
  upperDevice: "/dev/vdc",
  upperType: "ext4",
  upperOptions: "",
  upperFlags: 0,
  hostname: "h",
  hosts: "",
  resolvConf: "",
};
const HELLO = encodeMessage("hello", 0, { version: PROTOCOL_VERSION, features: 0, agentVersion: "test" });
const READY = encodeMessage("ready", 0, {
  agentStartMicros: 1,
  bootMessageMicros: 2,
  readyMicros: 3,
  kernelRelease: "6.12",
});

/** A link, and the guest's end of it in the test's hands. */
class Setup implements AsyncDisposable {
  readonly link: AgentLink;
  readonly guest: UnixConnection;
  readonly #close: () => Promise<void>;
  readonly #heard: Message[] = [];
  #wake: () => void = () => {};

  static async make(): Promise<Setup> {
    const directory = temporaryDirectory();
    const accepted = Promise.withResolvers<UnixConnection>();
    const listener = await listenUnix(join(directory.path, "agent"), accepted.resolve);
    const guest = await connectUnix(join(directory.path, "agent"));
    const link = new AgentLink(await accepted.promise);
    return new Setup(link, guest, async () => {
      guest.destroy();
      await link.closed;
      await listener.close();
      directory[Symbol.dispose]();
    });
  }

  private constructor(link: AgentLink, guest: UnixConnection, close: () => Promise<void>) {
    this.link = link;
    this.guest = guest;
    this.#close = close;
    const decoder = new FrameDecoder();
    guest.onData((chunk) => {
      for (const { payload, ...frame } of decoder.feed(chunk)) {
        const message = decodeMessage({ ...frame, payload: payload.slice() });
        if (message !== undefined) this.#heard.push(message);
      }
      this.#wake();
    });
  }

  /** What the guest hears next. */
  async hears(): Promise<Message> {
    while (this.#heard.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#heard.shift()!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}

test("AgentLink.hello() gives the greeting, and refuses another version", async () => {
  await using it = await Setup.make();
  const hello = it.link.hello();
  it.guest.send(HELLO);
  assert.equal((await hello).agentVersion, "test");

  await using other = await Setup.make();
  const refused = other.link.hello();
  other.guest.send(
    encodeMessage("hello", 0, { version: PROTOCOL_VERSION + 1, features: 0, agentVersion: "new" }),
  );
  await assert.rejects(refused, { code: "agentHandshake", message: /protocol/ });
});

test("AgentLink.boot() tells the guest what to mount, and the time", async () => {
  await using it = await Setup.make();
  const before = Math.floor(Date.now() / 1000);
  const booted = it.link.boot(GUEST);
  const boot = await it.hears();
  assert(boot.name === "boot");
  const { clockSeconds, clockNanoseconds, ...rest } = boot.fields;
  assert.deepEqual(rest, GUEST);
  assert.ok(clockSeconds >= before && clockSeconds <= before + 60);
  assert.ok(clockNanoseconds >= 0 && clockNanoseconds < 1e9);
  it.guest.send(READY);
  assert.equal((await booted).kernelRelease, "6.12");
});

test("AgentLink.boot() rejects with the stage at which the guest failed", async () => {
  await using it = await Setup.make();
  const booted = it.link.boot(GUEST);
  await it.hears();
  it.guest.send(
    encodeMessage("bootFailed", 0, { stage: BootStage.upper, errno: 5, message: "mount /dev/vdc" }),
  );
  await assert.rejects(booted, { stage: "upper", errno: 5, message: /upper: mount \/dev\/vdc \(errno 5\)/ });
});

test("AgentLink rejects whoever waits when the guest hangs up", async () => {
  await using it = await Setup.make();
  const waiting = [it.link.hello(), it.link.boot(GUEST), it.link.shutdown(0, 10_000)];
  it.guest.destroy();
  for (const promise of waiting)
    await assert.rejects(promise, { code: "agentHandshake", message: /hung up/ });
  await assert.rejects(it.link.hello(), { code: "agentHandshake" }); // and whoever comes later
});

test("AgentLink ends a connection that is out of step", async () => {
  await using it = await Setup.make();
  const hello = it.link.hello();
  it.guest.send(new Uint8Array(16).fill(0xff));
  await assert.rejects(hello, { code: "protocol" });
  await it.link.closed;
  // Not that it hung up: what the guest did is what a person needs to know.
  assert.match(await it.link.ended, /^the guest's agent broke the protocol: Cannot decode frame: the header/);
});

test("AgentLink says that the guest hung up, where that is all there is to say", async () => {
  await using it = await Setup.make();
  it.guest.destroy();
  assert.equal(await it.link.ended, "the guest's agent hung up");
});

test("AgentLink.shutdown() resolves when the guest has flushed, and rejects if it does not in time", async () => {
  await using it = await Setup.make();
  const flushed = it.link.shutdown(500, 10_000);
  const shutdown = await it.hears();
  assert(shutdown.name === "shutdown");
  assert.equal(shutdown.fields.graceMs, 500);
  it.guest.send(encodeMessage("flushed", 0, { clean: 1 }));
  assert.equal((await flushed).clean, 1);
  await assert.rejects(it.link.shutdown(0, 20), { code: "timeout", timeoutMs: 20 });
});

test("AgentLink.shutdown() waits for as long as it is told, however long that is", async () => {
  await using it = await Setup.make();
  const flushed = it.link.shutdown(2 ** 32 - 1, 2 ** 32 + 9_999);
  await it.hears();
  await new Promise((resolve) => setTimeout(resolve, 50)); // a timer that overflows fires at once
  it.guest.send(encodeMessage("flushed", 0, { clean: 0 }));
  assert.equal((await flushed).clean, 0);
});

test("AgentLink hands frames of streams on, in order, and ignores control messages of a later agent", async () => {
  await using it = await Setup.make();
  const texts: string[] = [];
  it.link.onFrame = ({ stream, payload }) =>
    void texts.push(`${stream} ${new TextDecoder().decode(payload)}`);
  const hello = it.link.hello();
  const unknown = encodeMessage("go", 0, {});
  unknown[8] = 0xee; // a type that nobody knows
  it.guest.send(unknown);
  for (let i = 0; i < 50; i++)
    it.guest.send(encodeMessage("stdout", 7 + (i % 2), { data: new TextEncoder().encode(`${i}`) }));
  it.guest.send(HELLO);
  await hello;
  assert.deepEqual(
    texts,
    Array.from({ length: 50 }, (_, i) => `${7 + (i % 2)} ${i}`),
  );
});
