import assert from "node:assert/strict";
import { PINS_MAX, Pins } from "../../../../src/egress/dns/pins.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

test("Pins knows the names of an address, in whatever text it is", () => {
  const pins = new Pins();
  pins.add("a.example", ["1.2.3.4", "2606:4700:0::1"], 300);
  pins.add("b.example", ["1.2.3.4"], 300);
  assert.deepEqual(pins.namesOf("1.2.3.4"), ["a.example", "b.example"]);
  assert.deepEqual(pins.namesOf("::ffff:1.2.3.4"), ["a.example", "b.example"]);
  assert.deepEqual(pins.namesOf("2606:4700::1"), ["a.example"]);
  assert.deepEqual(pins.namesOf("1.2.3.5"), []);
  assert.deepEqual(pins.namesOf("nonsense"), []);
  assert.deepEqual(pins.namesOf("203.0.113.254"), ["host.microsandbox.internal"]);
  assert.equal(pins.size, 3);
});

test("Pins holds a name for its time, for a minute at least and a day at most", () => {
  const clock = new FakeClock();
  const pins = new Pins(clock);
  pins.add("short.example", ["1.1.1.1"], 0);
  pins.add("hour.example", ["1.1.1.1"], 3600);
  pins.add("long.example", ["1.1.1.1"], 10_000_000);
  clock.advance(59_999);
  assert.equal(pins.namesOf("1.1.1.1").length, 3);
  clock.advance(1);
  assert.deepEqual(pins.namesOf("1.1.1.1"), ["hour.example", "long.example"]);
  pins.add("hour.example", ["1.1.1.1"], 1); // a shorter answer takes nothing away
  clock.advance(3_600_000 - 60_001);
  assert.deepEqual(pins.namesOf("1.1.1.1"), ["long.example", "hour.example"]);
  clock.advance(1);
  assert.deepEqual(pins.namesOf("1.1.1.1"), ["long.example"]);
  clock.advance(86_400_000);
  assert.deepEqual(pins.namesOf("1.1.1.1"), []);
  assert.equal(pins.size, 0);
});

test("Pins is bounded, and forgets what was not used for longest", () => {
  const pins = new Pins();
  const addressOf = (index: number) => `1.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  for (let index = 0; index < PINS_MAX; index++) pins.add("a.example", [addressOf(index)], 300);
  assert.equal(pins.size, PINS_MAX);
  assert.equal(pins.namesOf(addressOf(0)).length, 1); // used
  pins.add("b.example", ["9.9.9.9"], 300);
  assert.equal(pins.size, PINS_MAX);
  assert.equal(pins.namesOf(addressOf(0)).length, 1);
  assert.equal(pins.namesOf(addressOf(1)).length, 0);
  for (let index = 0; index < 3 * PINS_MAX; index++) pins.add(`${index}.example`, ["7.7.7.7"], 300);
  assert.ok(pins.size <= PINS_MAX, String(pins.size));
});
