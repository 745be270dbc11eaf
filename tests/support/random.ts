/**
 * Random numbers that can be had again: the seed is printed when the generator is made, and `MSB_TEST_SEED` replays it.
 *
 * @module
 */

/** What was said of the seeds in use, for the report of a failure: `deno test --quiet` shows nothing else. */
const announced: string[] = [];

/** Runs a test; its failure tells how to replay it. */
export async function withReplay(body: () => void | Promise<void>): Promise<void> {
  announced.length = 0;
  try {
    await body();
  } catch (error) {
    if (announced.length === 0) throw error;
    throw new Error(announced.join("; "), { cause: error });
  }
}

export interface SeededRandom {
  readonly seed: number;
  /** A whole number from `least` to `most`, both included. */
  integer(least: number, most: number): number;
  bytes(size: number): Uint8Array<ArrayBuffer>;
  pick<T>(items: readonly T[]): T;
}

/** mulberry32: small, and good enough to choose test cases. */
export function seededRandom(label: string): SeededRandom {
  const given = process.env["MSB_TEST_SEED"];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  const replay = `${label}: MSB_TEST_SEED=${seed} replays this run`;
  announced.push(replay);
  console.log(replay);
  return randomOf(seed);
}

/** The numbers that belong to a seed which somebody else has chosen, and printed. */
export function randomOf(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  return {
    seed,
    integer,
    bytes: (size) => Uint8Array.from({ length: size }, () => integer(0, 255)),
    pick: (items) => items[integer(0, items.length - 1)]!,
  };
}
