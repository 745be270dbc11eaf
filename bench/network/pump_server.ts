/** The servers of `pump.ts`: one sends so many bytes, one reads to the end. Prints their ports. @module */
import { createServer, type Server, type Socket } from "node:net";

const CHUNK = new Uint8Array(256 * 1024);
const bytes = Number(process.argv[2]);

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

const source = await listen((socket) => {
  let left = bytes;
  const fill = (): void => {
    while (left > 0) {
      left -= CHUNK.length;
      if (!socket.write(CHUNK)) return void socket.once("drain", fill);
    }
    socket.end();
  };
  fill();
  socket.resume();
});
const sink = await listen((socket) => {
  socket.resume();
  socket.on("end", () => socket.end());
});
process.stdout.write(`${source} ${sink}`);
