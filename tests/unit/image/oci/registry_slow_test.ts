/** The registry client against a server that sends very slowly. @module */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { RegistryClient } from "../../../../src/image/oci/registry_client.ts";
import { ATTEMPTS_MAX, RATE_WINDOW_BYTES_MIN } from "../../../../src/image/oci/registry_http.ts";
import { test } from "../../../support/harness.ts";
import { digestOf } from "../../../support/oci/server.ts";

/** A server that answers each request with a byte at a time. */
class DrippingServer {
  requests = 0;
  readonly #server: Server;

  static async start(body: Uint8Array): Promise<DrippingServer> {
    const server = new DrippingServer(body);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  private constructor(body: Uint8Array) {
    this.#server = createServer((request, response) => {
      this.requests++;
      const start = Number(/^bytes=([0-9]+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
      const range = { "content-range": `bytes ${start}-${body.length - 1}/${body.length}` };
      response.writeHead(start > 0 ? 206 : 200, start > 0 ? range : {});
      let sent = start;
      const timer = setInterval(() => {
        if (sent === body.length) response.end();
        else response.write(body.subarray(sent, ++sent));
      }, 2);
      response.on("close", () => clearInterval(timer));
    });
  }

  /** A client that waits no more than `rateWindowMs` for its minimum. */
  client(rateWindowMs: number): RegistryClient {
    const address = this.#server.address();
    assert.ok(address !== null && typeof address === "object");
    return new RegistryClient({
      registry: `127.0.0.1:${address.port}`,
      insecure: true,
      auth: { kind: "anonymous" },
      http: { backoffFirstMs: 1, rateWindowMs },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

const BODY = new Uint8Array(500).fill(0x20);

function isTooSlow(error: unknown): boolean {
  return (
    MicrosandboxError.is(error) && error.code === "imageRegistry" && /only \d+ bytes in/.test(error.message)
  );
}

async function download(client: RegistryClient): Promise<number> {
  let received = 0;
  const blob = { digest: digestOf(BODY), sizeBytes: BODY.length };
  for await (const chunk of client.readBlob("app", blob)) received += chunk.length;
  return received;
}

test("readBlob() gives up on a server that sends more slowly than the minimum rate", async () => {
  await using server = await DrippingServer.start(BODY);
  await assert.rejects(download(server.client(20)), isTooSlow);
  assert.equal(server.requests, ATTEMPTS_MAX);
});

test("fetchManifest() gives up on a server that sends more slowly than the minimum rate", async () => {
  await using server = await DrippingServer.start(BODY);
  await assert.rejects(server.client(20).fetchManifest("app", "v1"), isTooSlow);
});

test("readBlob() accepts a slow body that ends within the rate window", async () => {
  assert.ok(BODY.length < RATE_WINDOW_BYTES_MIN);
  await using server = await DrippingServer.start(BODY);
  assert.equal(await download(server.client(600_000)), BODY.length);
});
