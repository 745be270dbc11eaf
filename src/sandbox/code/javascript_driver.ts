/**
 * The program that makes a session of Node.js, which the interpreter gets with `-e`.
 *
 * Code is evaluated by Node's own inspector in the mode of a console: `await` at the top, and names that may be declared again.
 * That runs within a script which SIGINT breaks, so that an endless loop can be ended and the session kept.
 *
 * @see https://chromedevtools.github.io/devtools-protocol/tot/Runtime/#method-evaluate
 *
 * @module
 */
import { REPORT_TEXT_CHARS_MAX, REPORT_VALUE_CHARS_MAX } from "./report.ts";

/** Node.js 18 or later. */
export const JAVASCRIPT_DRIVER: string = String.raw`
"use strict";
{
  const fs = require("fs"), inspector = require("inspector"), net = require("net");
  const { Readable } = require("stream"), util = require("util"), vm = require("vm");
  const { parse, stringify } = JSON;
  const writes = [process.stdout, process.stderr].map((stream) => stream.write.bind(stream));
  const ends = new AbortController();
  let input = 0;
  try {
    const copy = fs.openSync("/proc/self/fd/0", "r");
    fs.closeSync(0);
    fs.openSync("/dev/null", "r");
    input = copy;
  } catch {
    Object.defineProperty(process, "stdin", { configurable: true, value: Readable.from([]) });
  }
  const requests = new net.Socket({ fd: input, readable: true, writable: false });

  const session = new inspector.Session();
  session.connect();
  let held, started, interrupt;
  const HOLD = Symbol("hold"), START = Symbol("start");
  for (const [symbol, value] of [[HOLD, (given) => { held = given; }], [START, () => started()]])
    Object.defineProperty(globalThis, symbol, { value });
  for (const name of ["require", "module", "exports"])
    Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: eval(name) });
  const keys = Object.getOwnPropertySymbols(globalThis);
  const at = (symbol) => "globalThis[Object.getOwnPropertySymbols(globalThis)[" + keys.indexOf(symbol) + "]]";
  const hold = "function (value) { " + at(HOLD) + "(value); }";
  const start = new vm.Script(at(START) + "()");
  const post = (method, params) =>
    new Promise((resolve, reject) =>
      session.post(method, params, (error, answer) => (error ? reject(new Error(error.message)) : resolve(answer))));

  process.on("SIGINT", () => interrupt?.());
  process.on("uncaughtException", (error) => {
    process.exitCode = 1;
    writes[1](util.inspect(error) + "\n");
  });

  const cut = (text) => [text.slice(0, ${REPORT_TEXT_CHARS_MAX}), Math.max(0, text.length - ${REPORT_TEXT_CHARS_MAX})];

  async function valueOf(remote) {
    if (remote.type === "undefined") return undefined;
    const { objectId, value, unserializableValue } = remote;
    const argument = objectId ? { objectId } : unserializableValue ? { unserializableValue } : { value };
    const { result } = await post("Runtime.evaluate", { expression: "(" + hold + ")" });
    await post("Runtime.callFunctionOn", { functionDeclaration: hold, objectId: result.objectId, arguments: [argument] });
    const given = held;
    held = undefined;
    return given;
  }

  function told(value) {
    if (value === undefined) return {};
    const [text, textOmitted] = cut(typeof value === "string" ? value : util.inspect(value));
    const result = { text, textOmitted };
    try {
      const json = stringify(value);
      if (json !== undefined && json.length <= ${REPORT_VALUE_CHARS_MAX}) result.json = json;
    } catch {}
    return { result };
  }

  function failure(error) {
    const isError = error !== null && typeof error === "object" && "message" in error;
    const describe = (value) => (typeof value === "string" ? value : util.inspect(value));
    const name = isError ? String(error.name) : "Uncaught";
    let message = isError ? describe(error.message) : describe(error);
    if (isError && error.code === "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING") message = "import() is not available here: use require()";
    const stack = isError && typeof error.stack === "string" ? error.stack : describe(error);
    const trace = stack.split("\n").filter((line) => !/node:inspector|\[eval\]|evalmachine/.test(line)).join("\n");
    return { error: { name: cut(name)[0], message: cut(message)[0], traceback: cut(trace)[0] } };
  }

  async function evaluate(expression) {
    const stopped = new Promise((_, reject) => {
      interrupt = () => reject(Object.assign(new Error("the code was interrupted"), { name: "Interrupted" }));
    });
    stopped.catch(() => {});
    try {
      let answer;
      started = () => {
        answer = post("Runtime.evaluate", { expression, replMode: true, awaitPromise: true, silent: true });
      };
      start.runInThisContext({ breakOnSigint: true });
      const { result, exceptionDetails } = await Promise.race([answer, stopped]);
      if (exceptionDetails === undefined) return told(await valueOf(result));
      return failure(await valueOf(exceptionDetails.exception ?? { type: "string", value: exceptionDetails.text }));
    } catch (error) {
      return failure(error);
    } finally {
      interrupt = undefined;
    }
  }

  const piece = (channel, nonce, payload) =>
    writes[channel](Buffer.concat([
      Buffer.from("\x1e" + nonce + payload.length.toString(16).padStart(4, "0")), payload,
    ]));

  async function answer(line) {
    const { nonce, source } = parse(line);
    const report = Buffer.from(stringify(await evaluate(source)));
    for (let offset = 0; offset < report.length; offset += 4000)
      piece(0, nonce, Buffer.concat([Buffer.from("r"), report.subarray(offset, offset + 4000)]));
    piece(0, nonce, Buffer.from("e"));
    piece(1, nonce, Buffer.from("e"));
  }

  let parts = [];
  requests.on("data", (chunk) => {
    const end = chunk.indexOf(10);
    parts.push(end < 0 ? chunk : chunk.subarray(0, end));
    if (end < 0) return;
    const line = Buffer.concat(parts).toString();
    parts = [];
    void answer(line);
  });
}
`;
