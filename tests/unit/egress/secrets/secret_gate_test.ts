/** Where secrets are put, and where they may not go. @module */
import assert from "node:assert/strict";
import type { SecretConfig } from "../../../../src/egress/config.ts";
import type { Gate } from "../../../../src/egress/http/gate.ts";
import {
  type SecretDestination,
  SecretSet,
  SecretViolation,
} from "../../../../src/egress/secrets/secret_gate.ts";
import { secret } from "../../../support/egress/secrets.ts";
import { test } from "../../../support/harness.ts";

const ALL = { headers: true, basicAuth: true, queryParams: true, body: true };
const VERIFIED: SecretDestination = { host: "api.example", isVerified: true };
const ELSEWHERE: SecretDestination = { host: "evil.example", isVerified: true };

function gate(secrets: readonly SecretConfig[], destination = VERIFIED): Gate {
  const found = new SecretSet(secrets).gateFor(destination);
  assert.ok(found !== undefined);
  return found;
}

const header = (found: Gate, name: string, value: string) =>
  found.request({ path: "/", headers: [{ name, value }] }).headers[0]?.value;
const path = (found: Gate, text: string) => found.request({ path: text, headers: [] }).path;
const base64 = (text: string) => Buffer.from(text).toString("base64");

function body(found: Gate, type: string, ...pieces: string[]): string {
  const gated = found.requestBody([{ name: "Content-Type", value: type }]);
  if (gated === undefined) return pieces.join("");
  const { transform } = gated;
  const passed = pieces.map((piece) => Buffer.from(transform.push(Buffer.from(piece))).toString());
  return passed.join("") + Buffer.from(transform.end()).toString();
}

function violation(act: () => unknown): string {
  let found: unknown;
  try {
    act();
  } catch (error) {
    found = error;
  }
  assert.ok(found instanceof SecretViolation, String(found));
  assert.equal(found.status, 403);
  assert.doesNotMatch(found.message, /value-of/);
  return found.message;
}

test("SecretSet puts values into headers and basic credentials by default, and nowhere else", () => {
  const found = gate([secret("KEY")]);
  assert.equal(header(found, "Authorization", "Bearer $MSB_KEY"), "Bearer value-of-KEY");
  assert.equal(header(found, "X-Key", "a $MSB_KEY b $MSB_KEY"), "a value-of-KEY b value-of-KEY");
  assert.equal(
    header(found, "Authorization", `Basic ${base64("me:$MSB_KEY")}`),
    `Basic ${base64("me:value-of-KEY")}`,
  );
  assert.equal(header(found, "Authorization", `Basic ${base64("me:other")}`), `Basic ${base64("me:other")}`);
  assert.equal(path(found, "/$MSB_KEY?key=$MSB_KEY"), "/$MSB_KEY?key=$MSB_KEY");
  assert.equal(body(found, "text/plain", "$MSB_KEY"), "$MSB_KEY");
});

test("SecretSet puts values where it is told to, in the writing of the place", () => {
  const found = gate([secret("KEY", { value: 'a "b"&c=\u00e9', injection: ALL })]);
  const url = encodeURIComponent('a "b"&c=\u00e9');
  assert.equal(path(found, "/$MSB_KEY?key=$MSB_KEY&other=%24MSB_KEY"), `/$MSB_KEY?key=${url}&other=${url}`);
  assert.equal(
    body(found, "application/x-www-form-urlencoded", "a=%24MS", "B_KEY&b=$MSB_KEY"),
    `a=${url}&b=${url}`,
  );
  assert.equal(
    JSON.parse(body(found, "application/json; charset=utf-8", '{"a":"$MSB_', 'KEY"}')).a,
    'a "b"&c=\u00e9',
  );
  assert.equal(body(found, "text/plain", "x$MSB_KEYx"), 'xa "b"&c=\u00e9x');
  const none = { headers: false, basicAuth: false, queryParams: false, body: true };
  const plain = gate([secret("KEY", { injection: none })]);
  assert.equal(header(plain, "Authorization", "Bearer $MSB_KEY"), "Bearer $MSB_KEY");
  assert.equal(
    header(plain, "Authorization", `Basic ${base64("$MSB_KEY:")}`),
    `Basic ${base64("$MSB_KEY:")}`,
  );
});

test("SecretSet does not read compressed bodies", () => {
  const found = gate([secret("KEY", { injection: ALL })]);
  assert.equal(found.requestBody([{ name: "Content-Encoding", value: "gzip" }]), undefined);
  assert.notEqual(found.requestBody([{ name: "Content-Encoding", value: "identity" }]), undefined);
});

for (const [where, act] of Object.entries({
  "a header": (found: Gate) => header(found, "X", "$MSB_KEY"),
  "a header's name": (found: Gate) => header(found, "X-$MSB_KEY", ""),
  "basic credentials": (found: Gate) => header(found, "Authorization", `Basic ${base64("me:$MSB_KEY")}`),
  "the path": (found: Gate) => path(found, "/a/$MSB_KEY"),
  "the query": (found: Gate) => path(found, "/?a=$MSB_KEY"),
  "the query, encoded": (found: Gate) => path(found, "/?a=%24MSB_KEY"),
  "the body": (found: Gate) => body(found, "text/plain", "a $MS", "B_K", "EY b"),
  "a form, encoded": (found: Gate) => body(found, "application/x-www-form-urlencoded", "a=%24MSB_KEY"),
}))
  test(`SecretSet refuses a placeholder in ${where} to another host`, () => {
    assert.match(
      violation(() => act(gate([secret("KEY")], ELSEWHERE))),
      /placeholder of the secret KEY/,
    );
  });

test("SecretSet refuses a value to another host, however it got there", () => {
  const found = gate([secret("KEY", { value: "value of/KEY" })], ELSEWHERE);
  assert.match(
    violation(() => header(found, "X", "value of/KEY")),
    /the value of the secret KEY/,
  );
  assert.match(
    violation(() => path(found, "/?a=value%20of%2FKEY")),
    /the value of the secret KEY/,
  );
  assert.match(
    violation(() => header(found, "Authorization", `Basic ${base64("me:value of/KEY")}`)),
    /the value/,
  );
  assert.match(
    violation(() => body(found, "text/plain", "value o", "f/KEY")),
    /the value/,
  );
  assert.equal(header(gate([secret("KEY", { value: "short" })], ELSEWHERE), "X", "short"), "short");
});

test("SecretSet decides by name, pattern, identity and the switch for all hosts", () => {
  const goes = (changes: Partial<SecretConfig>, destination: typeof VERIFIED) => {
    try {
      return header(gate([secret("KEY", changes)], destination), "X", "$MSB_KEY") === "value-of-KEY";
    } catch {
      return false;
    }
  };
  const unverified = { ...VERIFIED, isVerified: false };
  assert.equal(goes({}, VERIFIED), true);
  assert.equal(goes({}, unverified), false);
  assert.equal(goes({ requireTlsIdentity: false }, unverified), false); // the guest alone says that it is that host
  assert.equal(goes({ requireTlsIdentity: false }, { ...unverified, isResolved: true }), true);
  assert.equal(goes({ requireTlsIdentity: false, allowAnyHost: true }, unverified), true);
  assert.equal(goes({}, { host: "sub.api.example", isVerified: true }), false);
  const patterns = { allowedHosts: [], allowedHostPatterns: ["*.api.example"] };
  assert.equal(goes(patterns, { host: "sub.api.example", isVerified: true }), true);
  assert.equal(goes(patterns, VERIFIED), false);
  assert.equal(goes(patterns, { host: "evilapi.example", isVerified: true }), false);
  assert.equal(goes({ allowAnyHost: true }, ELSEWHERE), true);
});

test("SecretSet keeps secrets apart whose placeholders begin alike", () => {
  const found = gate([
    secret("KEY"),
    secret("KEY_TWO"),
    secret("KEY_EVIL", { allowedHosts: ["evil.example"] }),
  ]);
  assert.equal(header(found, "X", "$MSB_KEY_TWO $MSB_KEY"), "value-of-KEY_TWO value-of-KEY");
  assert.match(
    violation(() => header(found, "X", "$MSB_KEY_EVIL")),
    /secret KEY_EVIL/,
  );
});

test("SecretSet hides values in responses without changing a length", () => {
  const found = gate([secret("KEY")]);
  assert.deepEqual(found.responseHeaders([{ name: "X", value: "got value-of-KEY" }]), [
    { name: "X", value: "got ************" },
  ]);
  const mask = found.responseBody();
  const passed = ["<value-of", "-KEY>"].map((piece) =>
    Buffer.from(mask!.push(Buffer.from(piece))).toString(),
  );
  assert.equal(passed.join(""), "<************>");
});

test("SecretSet lets everything pass where it is lenient, and puts nothing in", () => {
  const found = new SecretSet([secret("KEY")], true).gateFor(ELSEWHERE)!;
  assert.equal(header(found, "X", "$MSB_KEY"), "$MSB_KEY");
  assert.equal(new SecretSet([secret("KEY")], true).streamFor(ELSEWHERE), undefined);
});

test("SecretSet watches other protocols, and puts nothing in", () => {
  const stream = (destination: typeof VERIFIED) => new SecretSet([secret("KEY")]).streamFor(destination);
  assert.equal(stream(VERIFIED), undefined);
  const elsewhere = stream(ELSEWHERE)!;
  assert.equal(Buffer.from(elsewhere.push(Buffer.from("AUTH "))).toString(), "AUTH ");
  violation(() => elsewhere.push(Buffer.from("$MSB_KEY\r\n")));
});

test("SecretSet has nothing to look at without secrets", () => {
  assert.equal(new SecretSet([]).gateFor(VERIFIED), undefined);
});
