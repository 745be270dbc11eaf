/** Replacing texts in streams: the same in whatever pieces they come. @module */
import assert from "node:assert/strict";
import { type Needle, NeedleSet } from "../../../../src/egress/secrets/needles.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

const needle = (text: string, value: string, heldCharsMin = 1): Needle => ({
  text,
  replace: () => value,
  heldCharsMin,
});

/** What a stream makes of `text` in pieces of the given sizes, one after the other. */
function streamed(set: NeedleSet, text: string, sizes: () => number): string {
  const stream = set.stream();
  let result = "";
  for (let start = 0; start < text.length; ) {
    const end = start + sizes();
    result += Buffer.from(
      stream.push(Uint8Array.from(Buffer.from(text.slice(start, end), "latin1"))),
    ).toString("latin1");
    start = end;
  }
  return result + Buffer.from(stream.end()).toString("latin1");
}

/** The same by a regular expression: alternatives in order of their length. */
function expected(needles: readonly Needle[], text: string): string {
  const ordered = needles.toSorted((a, b) => b.text.length - a.text.length);
  const pattern = ordered.map(({ text }) => text.replace(/[$^*+?.()|[\]{}\\]/g, "\\$&")).join("|");
  return text.replace(new RegExp(pattern, "g"), (found) =>
    ordered.find(({ text }) => text === found)!.replace(),
  );
}

test("NeedleSet replaces the longest at each place", () => {
  const set = new NeedleSet([
    needle("$MSB_KEY", "1"),
    needle("$MSB_KEY_TWO", "2"),
    needle("$MSB_OTHER", "3"),
  ]);
  assert.equal(set.replaceIn("a$MSB_KEYb$MSB_KEY_TWO$MSB_OTHER$MSB_KEY_TW$MSB"), "a1b231_TW$MSB");
});

test("NeedleSet.stream() hands out what holds no start of a needle at once, and the very same bytes", () => {
  const stream = new NeedleSet([needle("$MSB_KEY", "1")]).stream();
  const piece = Uint8Array.of(1, 2, 3);
  assert.equal(stream.push(piece), piece);
  assert.equal(Buffer.from(stream.push(Buffer.from("ab$MS"))).toString(), "ab");
  assert.equal(Buffer.from(stream.push(Buffer.from("B_KEYc"))).toString(), "1c");
  assert.equal(Buffer.from(stream.push(Buffer.from("d$MSB_K"))).toString(), "d");
  assert.equal(Buffer.from(stream.end()).toString(), "$MSB_K");
});

test("NeedleSet.stream() waits for the longer needle that a shorter one begins", () => {
  const set = new NeedleSet([needle("$MSB_KEY", "1"), needle("$MSB_KEY_TWO", "2")]);
  assert.equal(
    streamed(set, "$MSB_KEY_TWO$MSB_KEY", () => 8),
    "21",
  );
});

test("NeedleSet.stream() does not hold back less than it has to", () => {
  const stream = new NeedleSet([needle("$MSB_KEY", "1", 4)]).stream();
  assert.equal(Buffer.from(stream.push(Buffer.from("ab$MS"))).toString(), "ab$MS");
  assert.equal(Buffer.from(stream.push(Buffer.from("cd$MSB"))).toString(), "cd");
});

test("NeedleSet.stream() replaces as a regular expression does, in random pieces", () => {
  const random = seededRandom("needles");
  for (let round = 0; round < 3000; round++) {
    const word = (least: number) =>
      Array.from({ length: random.integer(least, 5) }, () => random.pick(["a", "b", "$"])).join("");
    const texts = [...new Set([word(1), word(2), word(2), word(3)])];
    const needles = texts.map((text, index) => needle(text, `<${index}>`));
    const text = Array.from({ length: random.integer(0, 40) }, () => random.pick(["a", "b", "$"])).join("");
    const set = new NeedleSet(needles);
    const wanted = expected(needles, text);
    assert.equal(set.replaceIn(text), wanted, JSON.stringify({ texts, text }));
    assert.equal(
      streamed(set, text, () => random.integer(1, 4)),
      wanted,
      JSON.stringify({ texts, text }),
    );
  }
});
