/**
 * Keeps a sandbox from counting as idle while a file call is under way: the guest may work on one for long without a word in
 * either direction, such as on a copy of a tree.
 *
 * @module
 */
import { clearInterval, setInterval } from "node:timers";
import type { AgentClient } from "../../agent/client.ts";

/** Shorter than an idle limit that anybody would set, and next to nothing to do. */
const TOUCH_INTERVAL_MS = 500;

/** Counts as activity until it is disposed of. */
export function keepActive(client: Pick<AgentClient, "touch">): Disposable {
  let isWaiting = false;
  const touch = async () => {
    if (isWaiting) return;
    isWaiting = true;
    try {
      await client.touch();
      isWaiting = false;
    } catch {
      clearInterval(timer); // the connection has ended, which the call itself tells
    }
  };
  const timer = setInterval(touch, TOUCH_INTERVAL_MS);
  timer.unref(); // the call keeps the process alive
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
