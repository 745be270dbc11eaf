/** Secrets that cannot be used are refused by the name of their field, and never shown. @module */
import assert from "node:assert/strict";
import type { SecretConfig } from "../../../../src/egress/config.ts";
import {
  defaultPlaceholder,
  SECRETS_MAX,
  secretIssues,
} from "../../../../src/egress/secrets/check_secrets.ts";
import { secret } from "../../../support/egress/secrets.ts";
import { test } from "../../../support/harness.ts";

const issues = (...secrets: SecretConfig[]) =>
  secretIssues(secrets, "network.secrets").map(({ field, problem }) => `${field}: ${problem}`);

test("secretIssues() finds nothing wrong with a usual secret", () => {
  assert.deepEqual(issues(secret("API_KEY")), []);
  assert.equal(defaultPlaceholder("API_KEY"), "$MSB_API_KEY");
});

for (const [what, changes, field, problem] of [
  ["a line feed in a value", { value: "geheim\n" }, "value", /control characters.*line feed/],
  ["a carriage return in a value", { value: "geheim\rX: y" }, "value", /control characters/],
  ["a NUL in a value", { value: "geheim\0" }, "value", /control characters/],
  ["an empty value", { value: "" }, "value", /empty/],
  [
    "a value that fits no header",
    { value: "g".repeat(20_000) },
    "value",
    /at most 16384 bytes: current value has 20000/,
  ],
  ["no hosts", { allowedHosts: [] }, "allowedHosts", /at least one host/],
  ["a URL for a host", { allowedHosts: ["https://a.example/"] }, "allowedHosts", /names or addresses/],
  [
    "a pattern in the middle",
    { allowedHostPatterns: ["a.*.example"] },
    "allowedHostPatterns",
    /must be \*\. and a name/,
  ],
  ["an invalid name", { envVar: "A B" }, "envVar", /letters, digits/],
  ["a placeholder with a space", { placeholder: "a b c d" }, "placeholder", /visible ASCII/],
  ["a short placeholder", { placeholder: "abc" }, "placeholder", /4 to 256/],
  ["a placeholder inside the value", { placeholder: "eheim-v" }, "placeholder", /part of a secret's value/],
] as const)
  test(`secretIssues() refuses ${what}`, () => {
    const found = issues(secret("API_KEY", { value: "geheim-value", ...changes }));
    assert.equal(found.length, 1, found.join("; "));
    assert.ok(found[0]?.startsWith(`network.secrets[0].${field}: `));
    assert.match(found[0] ?? "", problem);
    assert.doesNotMatch(found[0] ?? "", /geheim/);
  });

test("secretIssues() takes line feeds where no header is meant", () => {
  const injection = { headers: false, basicAuth: false, queryParams: false, body: true };
  assert.deepEqual(issues(secret("PEM", { value: "a\nb\n", injection })), []);
});

test("secretIssues() refuses duplicates, and too many secrets", () => {
  assert.deepEqual(issues(secret("A_KEY"), secret("A_KEY")), [
    "network.secrets[1].envVar: is given twice: current value is A_KEY",
    "network.secrets[1].placeholder: is given twice: current value is $MSB_A_KEY",
  ]);
  const many = Array.from({ length: SECRETS_MAX + 1 }, (_, index) => secret(`KEY_${index}_`));
  assert.deepEqual(issues(...many), ["network.secrets: must have at most 64 secrets: current value has 65"]);
});
