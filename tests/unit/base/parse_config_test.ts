import assert from "node:assert/strict";
import { z } from "zod";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { checkConfig, checkFields, parseConfig } from "../../../src/base/parse_config.ts";
import { test } from "../../support/harness.ts";

const schema = z.strictObject({
  count: z.int().min(1).max(9).optional(),
  name: z
    .string()
    .min(1)
    .max(70)
    .regex(/^[^/]*$/, "must not contain a slash")
    .optional(),
  kind: z.enum(["a", "b"]).optional(),
  isOn: z.boolean().optional(),
  words: z.array(z.string()).min(2).max(3).optional(),
  form: z.union([z.boolean(), z.strictObject({ size: z.int().min(0) })]).optional(),
  limits: z.record(z.string().regex(/^[a-z]+$/, "must be lower case"), z.int()).optional(),
  env: z.record(z.string(), z.string().max(3)).optional(),
});

/** The problems of `value`. */
function problems(value: unknown): string[] {
  try {
    parseConfig(schema, value, "options");
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError);
    return error.issues.map(({ field, problem }) => `${field}: ${problem}`);
  }
  throw new Error("it was taken");
}

test("parseConfig() suggests the field that was meant", () => {
  assert.deepEqual(problems({ cont: 1, isOnn: true, volumes: 1, form: { sizeMiB: 1 } }), [
    "form.size: must be given",
    "form.sizeMiB: is not known",
    "cont: is not known: did you mean count?",
    "isOnn: is not known: did you mean isOn?",
    "volumes: is not known",
  ]);
});

test("parseConfig() says what is wrong by the form of a value that fits best", () => {
  const forms = z.union([
    z.strictObject({ bind: z.string() }),
    z.strictObject({ disk: z.string(), kind: z.enum(["a"]) }),
  ]);
  const problem = { code: "invalidConfig", message: /^mount.kind: must be "a": current value is "b"$/ };
  assert.throws(
    () => parseConfig(z.strictObject({ mount: forms }), { mount: { disk: "x", kind: "b" } }, "x"),
    problem,
  );
});

test("parseConfig() names ten unknown fields, and counts the rest", () => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`unknown${index}`, index]));
  const found = problems(many);
  assert.equal(found.length, 11);
  assert.equal(found.at(-1), "options: has 990 more unknown fields");
});

test("parseConfig() shows no source of a function", () => {
  const secret = () => "hidden";
  assert.deepEqual(problems({ count: secret }), ["count: must be a number: current value is a function"]);
});

test("parseConfig() returns what the schema makes of a value", () => {
  assert.deepEqual(parseConfig(schema, { count: 9, kind: "b" }, "options"), { count: 9, kind: "b" });
});

test("parseConfig() says the rule and the current value", () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [{ count: 0 }, "count: must be at least 1: current value is 0"],
    [{ count: 10 }, "count: must be at most 9: current value is 10"],
    [{ count: 1.5 }, "count: must be an integer: current value is 1.5"],
    [{ count: Number.NaN }, "count: must be a number: current value is NaN"],
    [{ count: "1" }, 'count: must be a number: current value is "1"'],
    [{ count: null }, "count: must be a number: current value is null"],
    [{ count: 1n }, "count: must be a number: current value is 1"],
    [{ name: "" }, 'name: must not be empty: current value is ""'],
    [{ name: "a/b" }, 'name: must not contain a slash: current value is "a/b"'],
    [{ name: "x".repeat(71) }, `name: must have at most 70 characters: current value is "${"x".repeat(59)}…`],
    [{ kind: "c" }, 'kind: must be "a" or "b": current value is "c"'],
    [{ isOn: 1 }, "isOn: must be a boolean: current value is 1"],
    [{ words: ["a"] }, 'words: must have at least 2 entries: current value is ["a"]'],
    [{ words: ["a", 5] }, "words.1: must be a string: current value is 5"],
    [{ form: { size: -1 } }, "form.size: must be at least 0: current value is -1"],
    [{ form: "x" }, 'form: must be a boolean, or must be an object: current value is "x"'],
    [{ form: {} }, "form.size: must be given"],
    [{ limits: { A: 1 } }, 'limits.A: must be lower case: current value is "A"'],
    [{ other: 1, more: 2 }, "other: is not known"],
    [5, "options: must be an object: current value is 5"],
    [undefined, "options: must be given"],
  ];
  for (const [value, expected] of cases) assert.equal(problems(value)[0], expected);
});

test("parseConfig() names every field that is wrong", () => {
  assert.deepEqual(
    problems({ count: 0, isOn: 1, x: 1, y: 2 }).map((text) => text.split(":")[0]),
    ["count", "isOn", "x", "y"],
  );
});

test("parseConfig() does not show what may be secret", () => {
  assert.deepEqual(problems({ env: { TOKEN: "hunter2" } }), ["env.TOKEN: must have at most 3 characters"]);
});

test("parseConfig() shows an object with a cycle in it", () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  assert.deepEqual(problems({ count: circle }), ["count: must be a number: current value is an object"]);
});

test("checkConfig() gives either the data or the issues", () => {
  assert.deepEqual(checkConfig(schema, {}, "options"), { data: {}, issues: [] });
  const { data, issues } = checkConfig(schema, { count: 0 }, "options");
  assert.deepEqual([data, issues.length], [undefined, 1]);
});

test("checkFields() takes known fields, and refuses others and what is not an object", () => {
  const known = { signal: true, force: true } as const;
  for (const value of [{}, { force: undefined }, { force: 1, signal: 2 }])
    checkFields(value, known, "options");
  const refusals = [
    [{ singal: 1 }, "singal: is not known: did you mean signal?"],
    [{ toString: 1 }, "toString: is not known"],
    [null, "options: must be an object: current value is null"],
    [undefined, "options: must be given"],
    [[], "options: must be an object"],
    [7, "options: must be an object: current value is 7"],
  ] as const;
  for (const [value, message] of refusals)
    assert.throws(() => checkFields(value, known, "options"), { code: "invalidConfig", message });
});

test("parseConfig() names the known kinds, and shows nothing of an object of an unknown kind", () => {
  const kinds = z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("text"), content: z.string() }),
    z.strictObject({ kind: z.literal("mkdir"), path: z.string() }),
  ]);
  const problem = (value: unknown) =>
    checkConfig(kinds, value, "patch").issues.map(({ field, problem }) => `${field} ${problem}`);
  assert.deepEqual(problem({ kind: "txt", content: "hunter2" }), [
    'kind must be one of "text", "mkdir", did you mean "text"?: current value is "txt"',
  ]);
  assert.deepEqual(problem({ content: "hunter2" }), ['kind must be one of "text", "mkdir"']);
});
