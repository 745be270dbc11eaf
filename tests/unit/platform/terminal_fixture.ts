/**
 * A program that shows what it reads from its terminal, in raw mode, until it is told how to end.
 *
 * @module
 */
import process from "node:process";
import { HostTerminal } from "../../../src/platform/terminal.ts";

let terminal = new HostTerminal();
const show = (text: string) => terminal.write(new TextEncoder().encode(text));
const { rows, columns } = terminal.size;
terminal.onResize((size) => void show(`[size ${size.rows} ${size.columns}]`));
await show(`ready ${process.pid} ${rows} ${columns}\n`);
const reader = terminal.input().getReader();
const fail = () => {
  throw new Error("crashed on purpose");
};
const ends: Readonly<Record<string, () => unknown>> = {
  return: () => {},
  throw: () => Promise.reject(new Error("thrown on purpose")),
  crash: () => setTimeout(fail),
  exit: () => process.exit(5),
  catch: () => process.on("SIGTERM", () => void show("[caught]")),
  screen: () => show("\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[2J\x1b[Hfull screen"),
  again: () => {
    terminal[Symbol.dispose]();
    terminal = new HostTerminal();
    return show("[opened again]");
  },
  second: () => {
    try {
      new HostTerminal();
    } catch (error) {
      void show(`\r\n[${String(error)}]`);
    }
  },
};

async function main(): Promise<void> {
  try {
    for (let word = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      for (const part of new TextDecoder().decode(value).split(/(\r)/)) {
        if (part === "\r") {
          await ends[word]?.();
          if (word === "return") return;
          word = "";
        } else if (part !== "") {
          word += part;
          await show(`<${JSON.stringify(part)}>`);
        }
      }
    }
  } finally {
    await reader.cancel();
    terminal[Symbol.dispose]();
  }
}

void main(); // while a module waits at its top level, Bun survives an error that nobody catches
