/** What looks at requests and responses on their way: the seam between the proxy and the secrets. @module */
import type { HeaderField } from "./message.ts";

/** A body on its way. What it returns is passed on; it may hold back what could be the start of something. */
export interface ByteTransform {
  push(piece: Uint8Array): Uint8Array;
  /** What is left at the end of the body. */
  end(): Uint8Array;
}

/** A request without its framing. */
export interface GatedRequest {
  /** Path and query. */
  readonly path: string;
  readonly headers: readonly HeaderField[];
}

/** Decides about one request and its response. */
export interface Gate {
  /** The request as it is sent. @throws {HttpProblem} if it may not be. */
  request(request: GatedRequest): GatedRequest;
  /** For the body of the request; `undefined` passes it on as it is. `push` throws {@linkcode HttpProblem}. */
  requestBody(
    headers: readonly HeaderField[],
  ): { readonly transform: ByteTransform; readonly changesLength: boolean } | undefined;
  /** A text of a response, such as its reason phrase, as the guest gets it. */
  responseText(text: string): string;
  /** The fields of a response as the guest gets them, or of a trailer section. */
  responseHeaders(headers: readonly HeaderField[]): readonly HeaderField[];
  /** For the body of the response: never changes its length. */
  responseBody(): ByteTransform | undefined;
}
