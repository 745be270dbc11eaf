/** What is wrong with a message, and what the guest is told of it. @module */

/**
 * Ends a request. The guest gets a response with this status and reason; the flow log gets the reason.
 *
 * Nothing in it comes from a message that might hold a secret.
 */
export class HttpProblem extends Error {
  readonly status: number;
  /** What it is for the flow log: the guest's fault, a rule's, or the other end's. */
  readonly kind: "malformed" | "blocked" | "upstream";

  constructor(status: number, kind: HttpProblem["kind"], reason: string) {
    super(reason);
    this.name = "HttpProblem";
    this.status = status;
    this.kind = kind;
  }
}

/** A request that breaks a rule of HTTP. */
export function malformed(reason: string, status = 400): HttpProblem {
  return new HttpProblem(status, "malformed", reason);
}

/** A response that breaks a rule of HTTP, or does not come. */
export function upstreamProblem(reason: string): HttpProblem {
  return new HttpProblem(502, "upstream", reason);
}
