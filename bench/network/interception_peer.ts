/**
 * A process beside the interceptor in its bench: the server or the client, as its arguments say.
 *
 *     server KEY CERT|-                    prints its port; answers GET /N with N bytes, and counts what is sent to it
 *     latency PORT CA|- REQUESTS           prints the milliseconds of a request on a kept connection
 *     upload|download PORT CA|- MIB        prints the MB/s of one body
 *
 * @module
 */
import { readFileSync } from "node:fs";
import {
  createServer,
  get,
  Agent as HttpAgent,
  type IncomingMessage,
  type RequestListener,
  request,
} from "node:http";
import {
  Agent,
  createServer as createSecureServer,
  get as getSecure,
  request as requestSecure,
} from "node:https";
import type { AddressInfo } from "node:net";

const MiB = 2 ** 20;
const PIECE = Buffer.alloc(256 * 1024, "The quick brown fox jumps over the lazy dog. ");
const HEADERS = { Host: "api.example", Authorization: "Bearer $MSB_KEY" };

const [role = "", first = "", second = "-", third = "0"] = process.argv.slice(2);

const handle: RequestListener = (message, response) => {
  if (message.method === "PUT") {
    let bytes = 0;
    message.on("data", (data) => {
      bytes += data.length;
    });
    message.on("end", () => response.end(String(bytes)));
    return;
  }
  let left = Number((message.url ?? "/0").slice(1));
  response.setHeader("Content-Length", left);
  const send = (): void => {
    while (left > 0) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (!response.write(piece)) return void response.once("drain", send);
    }
    response.end();
  };
  send();
};

function serve(): void {
  const server =
    second === "-"
      ? createServer(handle)
      : createSecureServer({ key: readFileSync(first), cert: readFileSync(second) }, handle);
  server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
}

const isSecure = second !== "-";
const options = {
  host: "127.0.0.1",
  port: Number(first),
  headers: HEADERS,
  ...(isSecure
    ? {
        servername: "api.example",
        agent: new Agent({ keepAlive: true, maxSockets: 1, ca: readFileSync(second) }),
      }
    : { agent: new HttpAgent({ keepAlive: true, maxSockets: 1 }) }),
};

function fetchBytes(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const onResponse = (response: IncomingMessage) => {
      let bytes = 0;
      response.on("data", (data) => {
        bytes += data.length;
      });
      response.on("end", () => resolve(bytes));
      response.on("error", reject);
    };
    (isSecure ? getSecure : get)({ ...options, path }, onResponse).on("error", reject);
  });
}

async function measureLatency(requests: number): Promise<number> {
  for (let warm = 0; warm < requests / 4; warm++) await fetchBytes("/100");
  const start = performance.now();
  for (let count = 0; count < requests; count++) await fetchBytes("/100");
  return (performance.now() - start) / requests;
}

async function download(bytes: number): Promise<number> {
  await fetchBytes("/100");
  const start = performance.now();
  if ((await fetchBytes(`/${bytes}`)) !== bytes) throw new Error("the body was cut off");
  return bytes / 1000 / (performance.now() - start);
}

async function upload(bytes: number): Promise<number> {
  await fetchBytes("/100");
  const start = performance.now();
  await new Promise<void>((resolve, reject) => {
    const sending = (isSecure ? requestSecure : request)(
      { ...options, method: "PUT", headers: { ...HEADERS, "Content-Length": bytes } },
      (response) => response.resume().on("end", resolve),
    ).on("error", reject);
    let left = bytes;
    const send = (): void => {
      while (left > 0) {
        const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
        left -= piece.length;
        if (!sending.write(piece)) return void sending.once("drain", send);
      }
      sending.end();
    };
    send();
  });
  return bytes / 1000 / (performance.now() - start);
}

if (role === "server") serve();
else {
  const amount = Number(third);
  const measured =
    role === "latency"
      ? measureLatency(amount)
      : role === "upload"
        ? upload(amount * MiB)
        : download(amount * MiB);
  console.log(await measured);
  process.exit(0);
}
