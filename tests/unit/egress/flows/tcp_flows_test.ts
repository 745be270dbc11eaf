import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { pollUntil } from "../../../../src/base/wait.ts";
import { needsInterceptor } from "../../../../src/egress/interceptor.ts";
import { configOf, listen, readAll, send, startCore } from "../../../support/egress/core.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { within } from "../../../support/within.ts";

const SERVER = "1.2.3.4";

test("Egress carries a connection both ways, and ends each way on its own", async () => {
  await using server = await listen((socket) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(Buffer.from(chunk)));
    socket.on("end", () => socket.end(`got ${Buffer.concat(chunks)}`));
  });
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 80);
  await send(guest, "hello", true);
  assert.equal((await readAll(guest)).toString(), "got hello");
  await core.idle();
  await core.close();
  const [start, end] = core.entries;
  assert.deepEqual([start?.decision, start?.reason, start?.endedAs], ["allowed", "default", undefined]);
  assert.deepEqual([end?.endedAs, end?.bytesOut, end?.bytesIn, end?.id], ["closed", 5, 9, start?.id]);
});

test("Egress lets a guest go on sending after the server has ended", async () => {
  const received = Promise.withResolvers<string>();
  await using server = await listen((socket) => {
    socket.end("bye");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("end", () => received.resolve(text));
  });
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 80);
  assert.equal((await readAll(guest)).toString(), "bye");
  await send(guest, "after");
  await send(guest, "wards", true);
  assert.equal(await received.promise, "afterwards");
});

test("Egress does not wait for the guest where the server speaks first", async () => {
  await using server = await listen((socket) => socket.write("220 hello\r\n"));
  await using core = startCore(configOf(["mail.example:25", "1.2.3.4:25"]));
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 25);
  const { value } = await guest.readable.getReader().read();
  assert.equal(Buffer.from(value ?? []).toString(), "220 hello\r\n");
});

test("Egress moves 16 MiB each way at once, unchanged", async () => {
  const random = seededRandom("pumped bytes");
  const block = random.bytes(1024 * 1024);
  const received = createHash("sha256");
  const serverSaw = Promise.withResolvers<string>();
  await using server = await listen((socket) => {
    socket.on("data", (chunk) => received.update(chunk));
    socket.on("end", () => serverSaw.resolve(received.digest("hex")));
    let left = 16;
    const fill = (): void => {
      while (left > 0) {
        left--;
        if (!socket.write(block)) return void socket.once("drain", fill);
      }
      socket.end();
    };
    fill();
  });
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 80);
  const expected = createHash("sha256");
  const upload = async (): Promise<void> => {
    const writer = guest.writable.getWriter();
    for (let count = 0; count < 16; count++) {
      for (let offset = 0; offset < block.length; offset += 65_000) {
        const chunk = block.slice(offset, offset + 65_000);
        expected.update(chunk);
        await writer.write(chunk);
      }
    }
    await writer.close();
  };
  const hash = createHash("sha256");
  const download = async (): Promise<void> => {
    for await (const chunk of guest.readable) hash.update(chunk);
  };
  await within(50_000, "the transfer", () => Promise.all([upload(), download()]));
  assert.equal(await serverSaw.promise, expected.digest("hex"));
  assert.equal(
    hash.digest("hex"),
    createHash("sha256")
      .update(Buffer.concat(Array(16).fill(block)))
      .digest("hex"),
  );
});

test("Egress holds a bounded part of what a guest does not read", async () => {
  let sent = 0;
  await using server = await listen((socket) => {
    const block = Buffer.alloc(256 * 1024);
    const fill = (): void => {
      while (socket.write(block)) sent += block.length;
      sent += block.length;
      socket.once("drain", fill);
    };
    fill();
  });
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 80);
  let before = -1;
  await within(20_000, "the server being stopped", async () => {
    while (before !== sent) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  });
  // The kernel's buffers of both sockets hold most of it: 4 MiB to send and 6 MiB to receive at most.
  assert.ok(sent < 16 * 1024 * 1024, `${sent} bytes`);
  const reader = guest.readable.getReader();
  let read = 0;
  while (read <= before) read += (await reader.read()).value?.length ?? 0;
  guest.reset();
});

test("Egress tells the guest why there is no connection", async () => {
  await using core = startCore(configOf());
  assert.equal(await core.link.connect(SERVER, 80), "refused"); // the route leads to a closed port
  await core.close();
  assert.deepEqual(
    core.entries.map(({ decision, endedAs }) => [decision, endedAs]),
    [["allowed", "refused"]],
  );
});

test("Egress resets the guest when the server does, and the server when the guest does", async () => {
  const seen = Promise.withResolvers<void>();
  await using server = await listen((socket) => {
    socket.once("data", (data) => {
      if (String(data) === "reset me") socket.resetAndDestroy();
    });
    socket.on("close", () => seen.resolve());
  });
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const first = await core.link.mustConnect(SERVER, 80);
  await send(first, "reset me");
  await within(5_000, "the guest's reset", () => first.wasReset);
  const second = await core.link.mustConnect(SERVER, 80);
  await send(second, "hello");
  second.reset();
  await within(5_000, "the server's reset", () => seen.promise);
  await core.idle();
  await core.close();
  assert.deepEqual(
    core.entries.filter(({ endedAs }) => endedAs !== undefined).map(({ endedAs }) => endedAs),
    ["reset", "reset"],
  );
});

test("Egress refuses what the rules deny without dialling, and says by which rule", async () => {
  await using core = startCore(configOf(["10.0.0.0/8:5432"]));
  assert.equal(await core.link.connect("1.1.1.1", 443), "refused");
  assert.equal(await core.link.connect("10.0.0.1", 443), "refused");
  assert.deepEqual(core.dialled, []);
  await core.close();
  assert.deepEqual(
    core.entries.map(({ decision, reason, endedAs }) => [decision, reason, endedAs]),
    [
      ["denied", "default", "denied"],
      ["denied", "default", "denied"],
    ],
  );
});

test("Egress limits how many connections there are at once", async () => {
  await using server = await listen(() => {});
  await using core = startCore(configOf(undefined, { maxConnections: 2 }));
  core.routes.set(SERVER, server.port);
  const first = await core.link.mustConnect(SERVER, 80);
  await core.link.mustConnect(SERVER, 80);
  assert.equal(await core.link.connect(SERVER, 80), "refused");
  first.reset();
  await within(5_000, "a place", async () => {
    while (core.egress.flows.tcp > 1) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  await core.link.mustConnect(SERVER, 80);
  await core.close();
  assert.equal(core.entries.filter(({ reason }) => reason === "connections").length, 1);
});

test("Egress.update() ends open connections that are no longer allowed, and only those", async () => {
  await using server = await listen((socket) => socket.on("data", (chunk) => socket.write(chunk)));
  await using core = startCore(configOf(["1.2.3.4", "1.2.3.5"]));
  core.routes.set(SERVER, server.port).set("1.2.3.5", server.port);
  const [gone, kept] = await Promise.all([
    core.link.mustConnect(SERVER, 80),
    core.link.mustConnect("1.2.3.5", 80),
  ]);
  core.egress.update(configOf(["1.2.3.5"]));
  await within(5_000, "the reset", () => gone.wasReset);
  await send(kept, "still there");
  const { value } = await kept.readable.getReader().read();
  assert.equal(Buffer.from(value ?? []).toString(), "still there");
  assert.equal(await core.link.connect(SERVER, 80), "refused");
  await core.close();
  assert.deepEqual(
    core.entries.filter(({ endedAs }) => endedAs === "policy").map(({ destination }) => destination),
    [{ address: SERVER, port: 80 }],
  );
});

test("Egress.close() ends everything, and refuses what comes later", async () => {
  await using server = await listen(() => {});
  await using core = startCore(configOf());
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 80);
  await core.close();
  await within(5_000, "the reset", () => guest.wasReset);
  assert.deepEqual(core.egress.flows, { tcp: 0, udp: 0, dns: 0 });
  assert.equal(await core.link.connect(SERVER, 80), "unreachable");
  assert.equal(core.entries.at(-1)?.endedAs, "stopped");
});

test("Egress hands connections to an interceptor that wants them, metered and with the way open", async () => {
  await using server = await listen((socket) => socket.end("from the server"));
  const seen: unknown[] = [];
  await using core = startCore(configOf(), {
    interceptor: {
      wants: ({ port }) => port === 443,
      update: () => {},
      async handle(flow) {
        seen.push(flow.names, flow.checkName("a.example"), flow.request.destination);
        flow.report({ kind: "blocked", reason: "for the test", name: "a.example" });
        const socket = await flow.connect();
        const writer = flow.guest.writable.getWriter();
        for await (const chunk of socket) await writer.write(chunk);
        await writer.close();
        for await (const _ of flow.guest.readable) assert.fail("the guest sent nothing");
        socket.end();
      },
    },
  });
  core.routes.set(SERVER, server.port);
  const guest = await core.link.mustConnect(SERVER, 443);
  await guest.writable.close();
  assert.equal((await readAll(guest)).toString(), "from the server");
  await core.idle();
  await core.close();
  assert.deepEqual(seen, [[], { allowed: true }, { address: SERVER, port: 443 }]);
  assert.deepEqual(
    core.entries.map(({ reason, endedAs, bytesIn }) => [reason, endedAs, bytesIn]),
    [
      ["default", undefined, 0],
      ["blocked", undefined, 0],
      ["default", "closed", 15],
    ],
  );
});

test("Egress.update() brings an interceptor where there was none, and tells the one that is there", async () => {
  await using server = await listen((socket) => socket.end());
  await using core = startCore(configOf(["1.2.3.4"]));
  core.routes.set(SERVER, server.port);
  const calls: string[] = [];
  const interceptorOf = (name: string) => ({
    wants: () => calls.push(`${name} wants`) === 0,
    update: () => void calls.push(`${name} update`),
    handle: () => Promise.reject(new Error("it wants nothing")),
  });
  const first = interceptorOf("first");
  core.egress.update(configOf(["1.2.3.4"]), first);
  await core.link.mustConnect(SERVER, 80);
  assert.ok(await pollUntil(() => calls.length > 0, { everyMs: 2, timeoutMs: 5_000 }));
  core.egress.update(configOf(["1.2.3.4"]), first);
  assert.deepEqual(calls, ["first wants", "first update"]);
});

test("needsInterceptor() says whether names, TLS or secrets must be read", () => {
  assert.equal(needsInterceptor(configOf(["10.0.0.0/8", "public"])), false);
  assert.equal(needsInterceptor(configOf(["*.files.example"])), true);
});

test("Egress stays within its bounds when a guest opens 20,000 connections at once", async () => {
  await using server = await listen(() => {});
  await using core = startCore(configOf(["1.2.3.4"], { maxConnections: 64 }));
  core.routes.set(SERVER, server.port);
  const asked = Array.from({ length: 20_000 }, (_, index) =>
    core.link.connect(index % 2 === 0 ? SERVER : "9.9.9.9", 80),
  );
  assert.ok(core.egress.flows.tcp <= 64);
  const answers = await within(30_000, "the answers", () => Promise.all(asked));
  assert.equal(answers.filter((answer) => typeof answer !== "string").length, 64);
  assert.equal(core.link.waiting, 0);
  await core.close();
  assert.deepEqual(core.egress.flows, { tcp: 0, udp: 0, dns: 0 });
  assert.ok(core.entries.length <= 4096 + 256 + 2 * 64, `${core.entries.length} entries`);
});
