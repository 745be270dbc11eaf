/** A client that says exactly what it is told to. @module */
import { connect, type Socket } from "node:net";
import { waitFor } from "../../../src/base/wait.ts";

const TIMEOUT_MS = 20_000;

/** Sends pieces one after the other, and gives everything that comes back until the end, with a byte in each character. */
export function talk(port: number, pieces: readonly (Uint8Array | string)[]): Promise<string> {
  const talking = new Promise<string>((resolve) => {
    let answer = "";
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    socket.on("data", (data) => {
      answer += data.toString("latin1");
    });
    socket.on("end", () => socket.end());
    socket.on("error", () => {}); // a reset is an end
    socket.on("close", () => resolve(answer));
    const send = (index: number): void => {
      const piece = pieces[index];
      // A pause, so that each one arrives on its own.
      if (piece !== undefined) socket.write(piece, () => setTimeout(() => send(index + 1), 5));
    };
    socket.once("connect", () => send(0));
  });
  return waitFor(talking, { action: "waiting for the end of an answer", timeoutMs: TIMEOUT_MS });
}

/** A connection to a port of loopback. Its end is never an error. */
export function rawClient(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {}); // a reset, also after it was destroyed
  return socket;
}

/** The next `bytes` bytes of a socket as text; fewer if it ends before. */
export function received(socket: Socket, bytes: number): Promise<string> {
  const receiving = new Promise<string>((resolve, reject) => {
    let text = "";
    const leave = () => {
      socket.off("data", onData);
      socket.off("end", leave);
      socket.off("error", reject);
      resolve(text);
    };
    const onData = (data: Buffer) => {
      text += data.toString("latin1");
      if (text.length >= bytes) leave();
    };
    socket.on("data", onData);
    socket.on("end", leave);
    socket.on("error", reject);
  });
  return waitFor(receiving, { action: `waiting for ${bytes} bytes`, timeoutMs: TIMEOUT_MS });
}
