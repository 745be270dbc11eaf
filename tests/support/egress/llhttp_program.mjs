// Reads messages as base64, one a line, and prints what Node.js's own parser (llhttp) makes of each as JSON:
// {requests: [{method, url, headers, body}], error}. To be run by Node.js.
import { createInterface } from "node:readline";

const { HTTPParser, methods } = process.binding("http_parser");
// The indexes of callbacks, as lib/_http_common.js has them.
const { kOnHeadersComplete, kOnBody, kOnMessageComplete, kOnHeaders } = HTTPParser;

function parse(bytes) {
  const requests = [];
  let current;
  let early = { headers: [], url: "" };
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20);
  parser[kOnHeaders] = (headers, url) => {
    if (current !== undefined) return; // a trailer section
    early.headers.push(...headers);
    early.url += url;
  };
  parser[kOnHeadersComplete] = (_major, _minor, headers, method, url) => {
    current = { method: methods[method], url: url ?? early.url, headers: headers ?? early.headers, body: "" };
    early = { headers: [], url: "" };
    return 0;
  };
  parser[kOnBody] = (piece) => {
    current.body += piece.toString("latin1");
  };
  parser[kOnMessageComplete] = () => {
    requests.push(current);
    current = undefined;
  };
  const result = parser.execute(bytes);
  return { requests, error: result instanceof Error ? result.code : undefined };
}

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(parse(Buffer.from(line, "base64")))}\n`);
