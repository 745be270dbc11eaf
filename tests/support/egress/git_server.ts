/** Git's own HTTP backend behind a server over TLS. @module */
import { spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { httpsOrigin, type Origin } from "./origin.ts";

/** Serves the repositories below `root`, also for pushes. */
export function gitOrigin(root: string, host: string): Promise<Origin> {
  return httpsOrigin((request, response) => serve(root, request, response), { host });
}

/** One run of the backend, by the rules of CGI (RFC 3875). */
function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? "/", "https://localhost");
  const header = (name: string) => request.headers[name]?.toString() ?? "";
  const backend = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env["PATH"],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_PROTOCOL: header("git-protocol"),
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: header("content-type"),
      HTTP_CONTENT_ENCODING: header("content-encoding"),
      REMOTE_USER: "tester", // a known user may push
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  backend.stdin.on("error", () => {}); // it may end before it has read all
  request.pipe(backend.stdin);
  let head = Buffer.alloc(0);
  const takeHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    backend.stdout.off("data", takeHead);
    for (const line of head.toString("latin1", 0, end).split("\r\n")) {
      const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
      if (name === "Status") response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + 4));
    backend.stdout.pipe(response);
  };
  backend.stdout.on("data", takeHead);
}
