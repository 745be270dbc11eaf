/**
 * A program that is connected to a terminal, until it has ended or the terminal is taken away.
 *
 * @module
 */
import { encodeUtf8 } from "../../base/bytes.ts";
import { CallLimit } from "../../base/wait.ts";
import type { ExecHandle } from "../exec/exec_handle.ts";
import type { ExecSink } from "../exec/exec_input.ts";
import type { AttachView } from "./attach_options.ts";
import type { DetachKeys } from "./detach_keys.ts";
import type { ProgramTerminal, TerminalSize } from "./program_terminal.ts";

/** What the calls that attach resolve with when the terminal was detached and the program runs on: none exits so. */
export const DETACHED = -1;

/** How long a program sees a terminal of another size, so that it draws everything: it has to look at it twice. */
const REDRAW_PAUSE_MS = 60;

/**
 * Connects a program that runs on a pseudo-terminal of its own. Resolves with its exit code, or with {@linkcode DETACHED}. If
 * anything else ends this, the program is left as it is. The terminal is given back.
 *
 * @param screen Of a program that has drawn on another terminal: brings this one to the same modes. The program is then made to
 * draw everything.
 * @throws what the program's events or the terminal fail with.
 */
export async function attach(
  program: ExecHandle,
  terminal: ProgramTerminal,
  { terminal: source, keys, signal }: AttachView,
  { screen }: { readonly screen?: string } = {},
): Promise<number> {
  using _terminal = terminal;
  using limit = new CallLimit({ action: "attached to a program", signal });
  const sink = await program.takeStdin();
  const left = Promise.withResolvers<typeof DETACHED>();
  const resize = ({ rows, columns }: TerminalSize) => void program.resize(rows, columns);
  let isOver = false;
  using _leave = {
    [Symbol.dispose]: () => {
      isOver = true;
      program.leave();
    },
  };
  limit.onReached(left.reject);
  terminal.followSize(resize).catch(left.reject);
  if (screen !== undefined) {
    const { rows, columns } = terminal.size;
    resize({ rows: rows > 1 ? rows - 1 : rows + 1, columns });
    setTimeout(() => isOver || resize(terminal.size), REDRAW_PAUSE_MS);
  } else if (!isSameSize(terminal.size, source.size)) resize(terminal.size);
  passInput(terminal, sink, keys, left.resolve).catch(left.reject);
  // A terminal that takes nothing holds up neither the keys nor a limit.
  const ended = passOutput(program, terminal, screen ?? "", () => isOver);
  return await Promise.race([ended, left.promise, program.stopping]);
}

function isSameSize(one: TerminalSize, other: TerminalSize): boolean {
  return one.rows === other.rows && one.columns === other.columns;
}

async function passOutput(
  program: ExecHandle,
  terminal: ProgramTerminal,
  screen: string,
  isOver: () => boolean,
): Promise<number> {
  if (screen !== "") await terminal.write(encodeUtf8(screen));
  for (let event = await program.recv(); event !== null && !isOver(); event = await program.recv()) {
    if (event.kind === "stdout") await terminal.write(event.data);
    else if (event.kind === "exited") return event.code;
  }
  return DETACHED;
}

/** Reads no faster than the program does. One whose input is closed gets nothing, and can be detached from. */
async function passInput(
  terminal: ProgramTerminal,
  sink: ExecSink | null,
  keys: DetachKeys | undefined,
  leave: (result: typeof DETACHED) => void,
): Promise<void> {
  for (let typed = await terminal.read(); typed !== undefined; typed = await terminal.read()) {
    const { data, isDetached } = keys?.take(typed) ?? { data: typed, isDetached: false };
    if (data.length > 0) await sink?.write(data);
    if (isDetached) return leave(DETACHED);
  }
  await sink?.close();
}
