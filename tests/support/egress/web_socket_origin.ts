/** A WebSocket server over TLS. @module */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Origin, originCertificate } from "./origin.ts";

/** A server that sends back each text frame of less than 64 KiB that it gets (RFC 6455). */
export async function webSocketOrigin(
  onRequest: (request: IncomingMessage) => void,
  host = "localhost",
): Promise<Origin> {
  const server = createServer(originCertificate(host));
  server.on("upgrade", (request: IncomingMessage, socket: Socket) => {
    onRequest(request);
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    let rest = Buffer.alloc(0);
    socket.on("error", () => {}); // the client may hang up
    socket.on("data", (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      for (let frame = takeFrame(rest); frame !== undefined; frame = takeFrame(rest)) {
        rest = rest.subarray(frame.bytes);
        const { length } = frame.payload;
        const size = length < 126 ? [length] : [126, length >> 8, length & 0xff];
        socket.write(Buffer.concat([Buffer.of(0x80 | frame.opcode, ...size), frame.payload]));
        if (frame.opcode === 8) socket.end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

/** The first frame of a client, unmasked; `undefined` if it is not whole. */
function takeFrame(data: Buffer): { opcode: number; payload: Buffer; bytes: number } | undefined {
  if (data.length < 2) return undefined;
  const short = data[1]! & 0x7f;
  const start = short === 126 ? 4 : 2;
  if (data.length < start + 4) return undefined;
  const length = short === 126 ? data.readUInt16BE(2) : short;
  const mask = data.subarray(start, start + 4);
  const masked = data.subarray(start + 4, start + 4 + length);
  if (masked.length < length) return undefined;
  return {
    opcode: data[0]! & 15,
    payload: Buffer.from(masked.map((byte, index) => byte ^ mask[index % 4]!)),
    bytes: start + 4 + length,
  };
}
