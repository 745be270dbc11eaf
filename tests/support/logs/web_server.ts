/** An HTTP server of the runtime's own, at a free port of this machine. @module */

type Handler = (request: Request) => Response | Promise<Response>;

export interface WebServer extends AsyncDisposable {
  readonly url: string;
}

/** What of `Deno.serve` is used: the types of both runtimes are not there at once. */
interface DenoServe {
  serve(
    options: { hostname: string; port: number; onListen: () => void },
    handler: Handler,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
}

/** With the runtime's defaults in all else, as a user's server has them. */
export function serveWeb(handler: Handler): WebServer {
  const hostname = "127.0.0.1";
  if ("Bun" in globalThis) {
    const server = Bun.serve({ hostname, port: 0, fetch: handler });
    return {
      url: `http://${hostname}:${server.port}`,
      [Symbol.asyncDispose]: () => server.stop(true),
    };
  }
  const { Deno } = globalThis as unknown as { Deno: DenoServe };
  const server = Deno.serve({ hostname, port: 0, onListen: () => {} }, handler);
  return { url: `http://${hostname}:${server.addr.port}`, [Symbol.asyncDispose]: () => server.shutdown() };
}
