/**
 * What a connection costs without a VM: the agent as an ordinary process in a network namespace.
 *
 * @module
 */
import { GuestNetwork } from "../../tests/support/egress/guest_network.ts";
import { type Figure, sample } from "../support/figures.ts";

const CONNECTIONS = 500;
/** A connection that is let in at once. */
const CONNECT_MS_MAX = 2;

export async function measureNative(program: string, rounds: number): Promise<Figure[]> {
  await using guest = await GuestNetwork.start();
  guest.link.onRequest = (request) => {
    guest.link
      .accept(request)
      .then(({ readable, writable }) => readable.pipeTo(writable))
      .catch(() => {}); // the guest has given up, or has ended
  };
  const measure = async (word: string): Promise<number> => {
    const { code, stdout } = await guest.run(program, word, "198.51.100.7", "80", String(CONNECTIONS));
    if (code !== 0) throw new Error(`${word} failed: ${stdout}`);
    return Number(stdout);
  };
  const runs: Record<"connect" | "rate", number[]> = { connect: [], rate: [] };
  for (let round = 0; round < rounds; round++)
    for (const word of ["connect", "rate"] as const) runs[word].push(await measure(word));
  const [connect, rate] = [sample(runs.connect), sample(runs.rate)];
  return [
    {
      name: "connect() that is let in at once (no VM)",
      value: connect.median,
      unit: "ms",
      limit: { kind: "at most", value: CONNECT_MS_MAX },
      detail: { ...connect },
    },
    {
      name: "connections a second, one after the other (no VM)",
      value: rate.median,
      unit: "1/s",
      detail: { ...rate },
    },
  ];
}
