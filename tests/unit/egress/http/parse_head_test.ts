/** Strict heads: what two programs could understand in two ways is refused. @module */
import assert from "node:assert/strict";
import {
  HEADER_FIELDS_MAX,
  parseRequestHead,
  parseResponseHead,
} from "../../../../src/egress/http/parse_head.ts";
import { HttpProblem } from "../../../../src/egress/http/problem.ts";
import { requestTarget } from "../../../../src/egress/http/request_target.ts";
import { test } from "../../../support/harness.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const request = (lines: string) => parseRequestHead(bytes(`${lines}\r\n\r\n`));
const response = (lines: string, method = "GET") => parseResponseHead(bytes(`${lines}\r\n\r\n`), method);

function statusOf(parse: () => unknown): number | string {
  try {
    parse();
    return "accepted";
  } catch (error) {
    assert.ok(error instanceof HttpProblem, String(error));
    return error.status;
  }
}

test("parseRequestHead() parses a request", () => {
  assert.deepEqual(
    request("POST /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-Empty:\r\nX: \t b c \xe4 \r\nContent-Length: 5"),
    {
      method: "POST",
      target: "/a?b=c",
      version: "1.1",
      headers: [
        { name: "Host", value: "a.example" },
        { name: "X-Empty", value: "" },
        { name: "X", value: "b c \xe4" },
        { name: "Content-Length", value: "5" },
      ],
      framing: { kind: "length", bytes: 5 },
    },
  );
  assert.deepEqual(request("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked").framing, {
    kind: "chunked",
  });
  assert.deepEqual(request("GET / HTTP/1.0\r\nHost: a").framing, { kind: "none" });
});

const REFUSED_REQUESTS: Readonly<Record<string, readonly [lines: string, status: number]>> = {
  "both framings": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400],
  "two lengths": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5", 400],
  "a list of lengths": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5", 400],
  "a signed length": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5", 400],
  "a hexadecimal length": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5", 400],
  "an enormous length": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999", 400],
  "an empty length": ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length:", 400],
  "two codings": [
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    501,
  ],
  "a list of codings": ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked", 501],
  "an unknown coding": ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked", 501],
  "a coding with a tab": ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked", 400],
  "chunked in HTTP/1.0": ["POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked", 400],
  "a space before the colon": ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked", 400],
  "a folded field": ["GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c", 400],
  "a folded first field": ["GET / HTTP/1.1\r\n X: b\r\nHost: a", 400],
  "no colon": ["GET / HTTP/1.1\r\nHost: a\r\nX", 400],
  "no name": ["GET / HTTP/1.1\r\nHost: a\r\n: b", 400],
  "a NUL in a value": ["GET / HTTP/1.1\r\nHost: a\r\nX: b\0c", 400],
  "a bare carriage return": ["GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c", 400],
  "no Host": ["GET / HTTP/1.1\r\nX: b", 400],
  "no Host in HTTP/1.0": ["GET / HTTP/1.0", 400],
  "two Hosts": ["GET / HTTP/1.1\r\nHost: a\r\nhost: a", 400],
  "two spaces": ["GET  / HTTP/1.1\r\nHost: a", 400],
  "a tab": ["GET\t/ HTTP/1.1\r\nHost: a", 400],
  "no version": ["GET /\r\nHost: a", 400],
  "HTTP/2.0": ["PRI * HTTP/2.0\r\nHost: a", 505],
  "HTTP/1.2": ["GET / HTTP/1.2\r\nHost: a", 505],
  "a version in lower case": ["GET / http/1.1\r\nHost: a", 505],
  "a method that is not a token": ["G(T / HTTP/1.1\r\nHost: a", 400],
  "a fragment": ["GET /a#b HTTP/1.1\r\nHost: a", 400],
  "a control character in the target": ["GET /\x01 HTTP/1.1\r\nHost: a", 400],
  "a target without end": [`GET /${"a".repeat(33_000)} HTTP/1.1\r\nHost: a`, 414],
  "too many fields": [`GET / HTTP/1.1\r\nHost: a${"\r\nX: b".repeat(HEADER_FIELDS_MAX)}`, 431],
};
for (const [what, [lines, status]] of Object.entries(REFUSED_REQUESTS))
  test(`parseRequestHead() refuses ${what}`, () =>
    assert.equal(
      statusOf(() => request(lines)),
      status,
    ));

test("parseRequestHead() takes as many fields as are allowed", () => {
  const lines = `GET / HTTP/1.1\r\nHost: a${"\r\nX: b".repeat(HEADER_FIELDS_MAX - 1)}`;
  assert.equal(request(lines).headers.length, HEADER_FIELDS_MAX);
});

test("parseResponseHead() knows which responses have a body", () => {
  const framing = (lines: string, method?: string) => response(lines, method).framing;
  assert.deepEqual(framing("HTTP/1.1 200 OK\r\nContent-Length: 5"), { kind: "length", bytes: 5 });
  assert.deepEqual(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5"), {
    kind: "length",
    bytes: 5,
  });
  assert.deepEqual(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), { kind: "chunked" });
  assert.deepEqual(framing("HTTP/1.0 200\r\nX: y"), { kind: "untilClose" });
  for (const status of [100, 101, 204, 304])
    assert.deepEqual(framing(`HTTP/1.1 ${status} X\r\nContent-Length: 5`), { kind: "none" });
  assert.deepEqual(framing("HTTP/1.1 200 OK\r\nContent-Length: 5", "HEAD"), { kind: "none" });
});

for (const lines of [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
  "HTTP/1.1 2000 OK",
  "HTTP/1.1 20 OK",
  "HTTP/1.1 600 OK",
  "HTTP/2 200 OK",
  "ICY 200 OK",
  "HTTP/1.1 200 OK\r\nX: a\r\n b",
  "HTTP/1.1 200 O\0K",
])
  test(`parseResponseHead() refuses ${JSON.stringify(lines)}`, () =>
    assert.notEqual(
      statusOf(() => response(lines)),
      "accepted",
    ));

function target(line: string, host: string, scheme: "http" | "https" = "https") {
  return requestTarget(request(`${line} HTTP/1.1\r\nHost: ${host}`), scheme);
}

test("requestTarget() finds the host and the path", () => {
  assert.deepEqual(target("GET /a?b", "A.example:8443"), {
    host: "a.example",
    port: 8443,
    authority: "A.example:8443",
    path: "/a?b",
  });
  assert.equal(target("GET https://A.example/a?b", "a.example").path, "/a?b");
  assert.equal(target("GET https://a.example?b", "a.example").path, "/?b");
  assert.equal(target("OPTIONS *", "a.example").path, "*");
  assert.equal(target("OPTIONS https://a.example", "a.example").path, "*");
});

for (const [line, host, status] of [
  ["GET https://b.example/", "a.example", 421],
  ["GET http://a.example/", "a.example", 421],
  ["GET https://a.example:444/", "a.example", 421],
  ["GET https://a.example@b.example/", "a.example", 400],
  ["GET a.example/", "a.example", 400],
  ["GET *", "a.example", 400],
  ["CONNECT b.example:443", "b.example:443", 405],
  ["TRACE /", "a.example", 405],
  ["GET /", "a.example, b.example", 400],
  ["GET /", "a.example@b.example", 400],
  ["GET /", "", 400],
] as const)
  test(`requestTarget() refuses ${line} with Host "${host}"`, () =>
    assert.equal(
      statusOf(() => target(line, host)),
      status,
    ));
