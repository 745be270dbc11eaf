import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import {
  connectUnix,
  isListening,
  listenUnix,
  SOCKET_PATH_BYTES_MAX,
} from "../../../src/platform/unix_socket.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const MiB = 1024 * 1024;

/** Both ends of a connection. */
async function pair(): Promise<
  AsyncDisposable & { readonly client: UnixConnection; readonly server: UnixConnection }
> {
  const directory = temporaryDirectory();
  const accepted = Promise.withResolvers<UnixConnection>();
  const listener = await listenUnix(join(directory.path, "s"), accepted.resolve);
  const client = await connectUnix(join(directory.path, "s"));
  const server = await accepted.promise;
  return {
    client,
    server,
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      server.destroy();
      await listener.close();
      directory[Symbol.dispose]();
    },
  };
}

test("UnixConnection carries bytes both ways, in order", async () => {
  await using both = await pair();
  const received = Promise.withResolvers<string>();
  let text = "";
  both.client.onData((chunk) => {
    text += new TextDecoder().decode(chunk);
    if (text.endsWith("end")) received.resolve(text);
  });
  both.server.onData((chunk) => both.server.send(chunk));
  for (let i = 0; i < 100; i++) both.client.send(new TextEncoder().encode(`${i},`));
  both.client.send(new TextEncoder().encode("end"));
  assert.equal(await received.promise, `${Array.from({ length: 100 }, (_, i) => `${i},`).join("")}end`);
});

test("UnixConnection counts what a peer that does not read has not taken, and drains when it does", async () => {
  await using both = await pair();
  both.client.send(new Uint8Array(8 * MiB));
  assert.ok(both.client.bufferedBytes > 4 * MiB, `${both.client.bufferedBytes} bytes wait`);
  let isDrained = false;
  const drained = both.client.drained().then(() => {
    isDrained = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(isDrained, false);
  let size = 0;
  const whole = Promise.withResolvers<void>();
  both.server.onData((chunk) => {
    size += chunk.length;
    if (size === 8 * MiB) whole.resolve();
  });
  await Promise.all([drained, whole.promise]);
  assert.equal(both.client.bufferedBytes, 0);
});

test("UnixConnection.drained() resolves when nothing waits, and when the connection ends", async () => {
  await using both = await pair();
  await both.client.drained();
  both.client.send(new Uint8Array(8 * MiB));
  const drained = both.client.drained();
  both.server.destroy();
  await drained;
  await both.client.closed;
  await both.client.drained();
});

test("UnixConnection.pause() makes the peer wait, and resume() takes what it sent", async () => {
  await using both = await pair();
  let size = 0;
  const whole = Promise.withResolvers<void>();
  both.server.onData((chunk) => {
    size += chunk.length;
    if (size === 8 * MiB) whole.resolve();
  });
  both.server.pause();
  both.client.send(new Uint8Array(8 * MiB));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(both.client.bufferedBytes > 4 * MiB, `${both.client.bufferedBytes} bytes wait`);
  both.server.resume();
  await whole.promise;
});

test("UnixConnection.onData() gets what came before it, however much", async () => {
  await using both = await pair();
  both.client.send(new Uint8Array(8 * MiB).fill(7));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(both.client.bufferedBytes > 4 * MiB, `${both.client.bufferedBytes} bytes wait`);
  let size = 0;
  const whole = Promise.withResolvers<void>();
  both.server.onData((chunk) => {
    assert.ok(chunk.every((byte) => byte === 7));
    size += chunk.length;
    if (size === 8 * MiB) whole.resolve();
  });
  await whole.promise;
});

test("UnixConnection.send() of many small chunks delivers all of them to a reader that comes late", async () => {
  await using both = await pair();
  for (let i = 0; i < 2_000_000; i++) both.client.send(new Uint8Array(12)); // the peer does not read
  assert.ok(both.client.bufferedBytes > 20_000_000, `${both.client.bufferedBytes} bytes wait`);
  let size = 0;
  const whole = Promise.withResolvers<void>();
  both.server.onData((chunk) => {
    size += chunk.length;
    if (size === 24_000_000) whole.resolve();
  });
  await whole.promise;
});

test("UnixConnection.pause() before onData() holds back what has come already", async () => {
  await using both = await pair();
  both.client.send(new Uint8Array(1000));
  await new Promise((resolve) => setTimeout(resolve, 50));
  let size = 0;
  both.server.pause();
  const taken = Promise.withResolvers<void>();
  both.server.onData((chunk) => {
    size += chunk.length;
    if (size === 1000) taken.resolve();
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(size, 0);
  both.server.resume();
  await taken.promise;
});

test("UnixConnection.end() delivers everything, and then ends both sides", async () => {
  await using both = await pair();
  let size = 0;
  both.client.send(new Uint8Array(4 * MiB));
  both.client.end();
  both.client.send(new Uint8Array(MiB)); // after the end: dropped, and no harm done
  both.server.onData((chunk) => {
    size += chunk.length;
  });
  await Promise.all([both.client.closed, both.server.closed]);
  assert.equal(size, 4 * MiB);
});

test("UnixConnection.end() ends a connection whose peer goes on sending", async () => {
  await using both = await pair();
  both.client.onData(() => {}); // reads, and does not hang up
  const interval = setInterval(() => both.client.send(new Uint8Array(10)), 1);
  both.server.end(); // has never read a byte
  await both.server.closed;
  clearInterval(interval);
});

test("UnixConnection.send() after the peer has gone does no harm", async () => {
  await using both = await pair();
  both.server.destroy();
  for (let i = 0; i < 10; i++) both.client.send(new Uint8Array(100_000));
  await both.client.closed;
  both.client.send(new Uint8Array(1));
  assert.equal(both.client.bufferedBytes === 0 || both.client.bufferedBytes > 0, true);
});

test("connectUnix() rejects with the system's reason", async () => {
  using directory = temporaryDirectory();
  await assert.rejects(connectUnix(join(directory.path, "none")), { code: "io", errno: "ENOENT" });
  writeFileSync(join(directory.path, "file"), "");
  await assert.rejects(connectUnix(join(directory.path, "file")), { code: "io", errno: "ECONNREFUSED" });
});

test("connectUnix() rejects with AbortedError when its signal has fired", async () => {
  await assert.rejects(connectUnix("/nowhere", AbortSignal.abort("stop")), {
    code: "aborted",
    cause: "stop",
  });
});

test("connectUnix() and listenUnix() take a path of 107 bytes, and refuse one more", async () => {
  using directory = temporaryDirectory();
  const room = SOCKET_PATH_BYTES_MAX - directory.path.length - 1;
  const longest = join(directory.path, `é${"x".repeat(room - 2)}`); // counted in bytes
  const listener = await listenUnix(longest, (connection) => connection.destroy());
  (await connectUnix(longest)).destroy();
  await listener.close();
  const tooLong = { code: "io", errno: "ENAMETOOLONG", path: `${longest}x` };
  await assert.rejects(connectUnix(`${longest}x`), tooLong);
  await assert.rejects(
    listenUnix(`${longest}x`, () => {}),
    tooLong,
  );
  assert.equal(existsSync(`${longest}x`), false);
});

test("listenUnix() is for this user only, and refuses an address that is taken or nowhere", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "s");
  const listener = await listenUnix(path, () => {});
  assert.equal(statSync(path).mode & 0o777, 0o600);
  await assert.rejects(
    listenUnix(path, () => {}),
    { code: "io", errno: "EADDRINUSE" },
  );
  await assert.rejects(
    listenUnix(join(directory.path, "none", "s"), () => {}),
    { code: "io" },
  );
  await listener.close();
});

test("UnixListener.close() removes the socket and keeps the connections", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "s");
  const accepted = Promise.withResolvers<UnixConnection>();
  const listener = await listenUnix(path, accepted.resolve);
  const client = await connectUnix(path);
  const server = await accepted.promise;
  await listener.close();
  await listener.close(); // does nothing
  assert.equal(existsSync(path), false);
  await assert.rejects(connectUnix(path), { code: "io" });
  const answer = new Promise<string>((resolve) =>
    client.onData((chunk) => resolve(new TextDecoder().decode(chunk))),
  );
  server.send(new TextEncoder().encode("still here"));
  assert.equal(await answer, "still here");
  client.destroy();
  await Promise.all([client.closed, server.closed]);
});

test("listenUnix() ends connections for which there are no descriptors, and serves again once there are", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "s");
  const fixture = runtimeCommand(new URL("./echo_listener_fixture.ts", import.meta.url));
  const limited = ["-c", 'ulimit -n 40; exec "$0" "$@"', fixture.file, ...fixture.args, path];
  const child = spawn("/bin/sh", limited, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const tries = await Promise.allSettled(Array.from({ length: 60 }, () => connectUnix(path)));
    const many = tries.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    for (const connection of many) connection.onData(() => {});
    // Not left to wait, nor the listener to spin. Bun may call a connection refused that is closed at once.
    if (many.length === tries.length) await Promise.race(many.map(({ closed }) => closed));
    for (const connection of many) connection.destroy();
    assert.equal(await echoed(path), "still here");
  } finally {
    child.stdin.end();
  }
});

/** What a listener sends back, which may take until it has descriptors. */
async function echoed(path: string): Promise<string> {
  for (;;) {
    const connection = await connectUnix(path).catch(() => undefined);
    if (connection === undefined) continue; // closed at once, as above
    const answer = new Promise<string>((resolve) =>
      connection.onData((chunk) => resolve(new TextDecoder().decode(chunk))),
    );
    connection.send(new TextEncoder().encode("still here"));
    const text = await Promise.race([answer, connection.closed]);
    connection.destroy();
    if (text !== undefined) return text;
  }
}

test("isListening() tells a listener from a file, a directory and nothing", async () => {
  using directory = temporaryDirectory();
  const path = (name: string) => join(directory.path, name);
  assert.equal(await isListening(path("none")), false);
  assert.equal(await isListening(path("none/deeper")), false);
  writeFileSync(path("file"), "");
  assert.equal(await isListening(path("file")), false);
  assert.equal(await isListening(path("file/below")), false);
  mkdirSync(path("directory"));
  const listener = await listenUnix(path("s"), (connection) => connection.onData(() => {}));
  assert.equal(await isListening(path("s")), true);
  await listener.close();
  assert.equal(await isListening(path("s")), false);
});
