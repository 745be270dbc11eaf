/** HTTP client for registries: retries with back-off, redirects without credentials, and time limits. @module */
import { setTimeout as delay } from "node:timers/promises";
import { type Bytes, concatBytes, KiB } from "../../base/bytes.ts";
import { AbortedError, MicrosandboxError, messageOf } from "../../base/errors.ts";
import { type TrustedFetch, trustedFetch } from "../../platform/trusted_fetch.ts";
import { ImageRegistryError } from "./errors.ts";

/** Most attempts for one request. */
export const ATTEMPTS_MAX = 5;
/** Most attempts for a small answer whose body was cut. */
export const BODY_ATTEMPTS_MAX = 5;
/** First pause between attempts, which doubles each time. */
export const BACKOFF_FIRST_MS = 250;
/** Longest pause of the back-off. */
export const BACKOFF_MS_MAX = 8000;
/** Longest pause that a registry may request by `Retry-After`; a longer one ends the pull. */
export const RETRY_AFTER_MS_MAX = 60_000;
/** Time limit for the head of an answer. */
export const HEAD_TIMEOUT_MS = 30_000;
/** Time limit for the next bytes of a body. */
export const STALL_TIMEOUT_MS = 60_000;
/** Time over which the rate of a transfer is measured. Only time spent waiting for the server counts. */
export const RATE_WINDOW_MS = 60_000;
/**
 * Bytes that a server must send in each {@linkcode RATE_WINDOW_MS}. Together with the size of a blob, this bounds the
 * time of its transfer.
 */
export const RATE_WINDOW_BYTES_MIN = 64 * KiB;
/** Most redirects that one request follows. */
export const REDIRECTS_MAX = 5;

const RETRIED_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
/** What the runtimes say about an untrusted certificate. */
const CERTIFICATE_PROBLEM = /certificate|CERT_|UnknownIssuer/i;
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Options of {@linkcode RegistryHttp}. */
export interface RegistryHttpOptions {
  /** PEM texts of certificate authorities to trust in addition to the system's. */
  readonly caCerts?: readonly string[] | undefined;
  /** First pause between attempts. @default {BACKOFF_FIRST_MS} */
  readonly backoffFirstMs?: number | undefined;
  /** @default {HEAD_TIMEOUT_MS} */
  readonly headTimeoutMs?: number | undefined;
  /** @default {STALL_TIMEOUT_MS} */
  readonly stallTimeoutMs?: number | undefined;
  /** @default {RATE_WINDOW_MS} */
  readonly rateWindowMs?: number | undefined;
  /** Waits between attempts; rejects when the signal fires. @default a timer */
  readonly wait?: ((waitMs: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
}

/** One request. */
export interface RegistryRequest {
  readonly method?: "GET" | "HEAD" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal | undefined;
}

/** The part of a stream reader that is used; the runtimes' types differ in the rest. */
interface ChunkReader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
}

/** An answer that was read to its end. */
export interface WholeResponse {
  readonly response: Response;
  readonly bytes: Bytes;
}

export class RegistryHttp {
  readonly #client: TrustedFetch;
  readonly #backoffFirstMs: number;
  readonly #headTimeoutMs: number;
  readonly #stallTimeoutMs: number;
  readonly #rateWindowMs: number;
  readonly #wait: NonNullable<RegistryHttpOptions["wait"]>;

  constructor(options: RegistryHttpOptions = {}) {
    this.#client = trustedFetch(options.caCerts ?? []);
    this.#backoffFirstMs = options.backoffFirstMs ?? BACKOFF_FIRST_MS;
    this.#headTimeoutMs = options.headTimeoutMs ?? HEAD_TIMEOUT_MS;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? STALL_TIMEOUT_MS;
    this.#rateWindowMs = options.rateWindowMs ?? RATE_WINDOW_MS;
    this.#wait = options.wait ?? waitByTimer;
  }

  close(): void {
    this.#client.close();
  }

  /**
   * Sends a request until the answer is one that a retry would not change. The caller must read or cancel the body.
   *
   * @throws {ImageRegistryError} There was no answer, or the registry stayed busy.
   * @throws {AbortedError} The signal fired.
   */
  async request(url: string, request: RegistryRequest): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      let failure: MicrosandboxError;
      try {
        const response = await this.#follow(url, request);
        if (!RETRIED_STATUSES.has(response.status)) return response;
        failure = await busyError(url, response);
      } catch (error) {
        throwIfAborted(request.signal, `waiting for ${new URL(url).host}`);
        if (!isRetriable(error)) throw error;
        failure = error;
      }
      if (attempt === ATTEMPTS_MAX) throw failure;
      await this.pause(attempt, failure, request.signal);
    }
  }

  /** Sends a request once. Fails only if the network does. */
  requestOnce(url: string, request: RegistryRequest): Promise<Response> {
    return this.#follow(url, request);
  }

  /** Waits before attempt number `attempt + 1`: as long as the registry asks, or else by the back-off. */
  async pause(attempt: number, failure: unknown, signal: AbortSignal | undefined): Promise<void> {
    const asked = failure instanceof ImageRegistryError ? failure.retryAfterMs : undefined;
    if (asked !== undefined && asked > RETRY_AFTER_MS_MAX) throw failure;
    const backoff = Math.min(this.#backoffFirstMs * 2 ** (attempt - 1), BACKOFF_MS_MAX);
    // Half of it at random: many sandboxes that start together should not come back together.
    const waitMs = asked ?? backoff * (0.5 + Math.random() / 2);
    try {
      await this.#wait(waitMs, signal);
    } catch {
      throw new AbortedError("pulling an image", signal?.reason);
    }
  }

  /**
   * Returns a small answer with its whole body. A body that is cut is requested again, since there is little to resume.
   *
   * @param send Sends the request, with retries of its own.
   * @throws {ImageRegistryError} The body is too large, or was cut each time.
   */
  async readWhole(
    send: () => Promise<Response>,
    bytesMax: number,
    signal: AbortSignal | undefined,
  ): Promise<WholeResponse> {
    for (let attempt = 1; ; attempt++) {
      const response = await send();
      try {
        return { response, bytes: await this.#collect(response, bytesMax, signal) };
      } catch (error) {
        throwIfAborted(signal, "pulling an image");
        if (!isRetriable(error) || attempt === BODY_ATTEMPTS_MAX) throw error;
        await this.pause(attempt, error, signal);
      }
    }
  }

  async #collect(response: Response, bytesMax: number, signal: AbortSignal | undefined): Promise<Bytes> {
    const { url, status } = response;
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of this.readBody(response, signal)) {
      sizeBytes += chunk.length;
      if (sizeBytes > bytesMax)
        throw new ImageRegistryError(url, `the answer is larger than ${bytesMax} bytes`, { status });
      parts.push(chunk);
    }
    // Not every runtime reports a body that is shorter than promised.
    const promised = response.ok ? response.headers.get("content-length") : null;
    if (promised !== null && sizeBytes < Number(promised))
      throw new ImageRegistryError(url, `cut off after ${sizeBytes} of ${promised} bytes`);
    return concatBytes(parts);
  }

  /**
   * Yields the body of an answer. Fails if no bytes come for the stall time limit, if they come more slowly than the
   * minimum rate, or if the connection is cut.
   */
  async *readBody(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    const stop = (): void => void reader.cancel(signal?.reason).catch(() => {}); // the reads below report it
    signal?.addEventListener("abort", stop, { once: true });
    let windowBytes = 0;
    let windowMs = 0;
    try {
      while (true) {
        throwIfAborted(signal, "pulling an image");
        const startedMs = performance.now();
        const { done, value } = await this.#readChunk(reader, response.url);
        windowMs += performance.now() - startedMs; // not the consumer's time
        windowBytes += value?.length ?? 0;
        throwIfAborted(signal, "pulling an image");
        if (done) return;
        if (windowMs >= this.#rateWindowMs) {
          if (windowBytes < RATE_WINDOW_BYTES_MIN) throw tooSlow(response.url, windowBytes, windowMs);
          [windowBytes, windowMs] = [0, 0];
        }
        if (value !== undefined && value.length > 0) yield value;
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      await reader.cancel().catch(() => {}); // already failed: that error is on its way
    }
  }

  async #readChunk(reader: ChunkReader, url: string): Promise<Awaited<ReturnType<ChunkReader["read"]>>> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stalled = new Promise<never>((_, reject) => {
      const problem = `no bytes for ${this.#stallTimeoutMs} ms`;
      timer = setTimeout(() => reject(new ImageRegistryError(url, problem)), this.#stallTimeoutMs);
    });
    try {
      return await Promise.race([reader.read(), stalled]);
    } catch (cause) {
      throw MicrosandboxError.is(cause) ? cause : new ImageRegistryError(url, messageOf(cause), { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  async #follow(start: string, request: RegistryRequest): Promise<Response> {
    let url = start;
    let headers: Record<string, string> = { ...request.headers };
    for (let redirects = 0; ; redirects++) {
      const response = await this.#send(url, { ...request, headers });
      const location = response.headers.get("location");
      if (!REDIRECT_STATUSES.has(response.status) || location === null) return response;
      if (request.body !== undefined) return response; // it holds a secret for this host only
      await response.body?.cancel();
      if (redirects === REDIRECTS_MAX) {
        throw new ImageRegistryError(start, `more than ${REDIRECTS_MAX} redirects`, {
          status: response.status,
        });
      }
      const next = redirectTarget(url, location, response.status);
      // Credentials for one host must not reach another, e.g. a storage service.
      if (next.origin !== new URL(url).origin) headers = withoutAuthorization(headers);
      url = next.href;
    }
  }

  async #send(url: string, request: RegistryRequest): Promise<Response> {
    throwIfAborted(request.signal, "pulling an image");
    // The time limit covers the head only and ends with it; the caller's signal stays in effect.
    const abort = new AbortController();
    const forward = (): void => abort.abort(request.signal?.reason);
    request.signal?.addEventListener("abort", forward, { once: true });
    const timer = setTimeout(() => abort.abort(), this.#headTimeoutMs);
    try {
      return await this.#client.fetch(url, {
        method: request.method ?? "GET",
        // A body that fetch decompresses would no longer be the bytes of the digest.
        headers: { "accept-encoding": "identity", "user-agent": "microsandbox", ...request.headers },
        redirect: "manual",
        signal: abort.signal,
        ...(request.body === undefined ? {} : { body: request.body }),
      });
    } catch (cause) {
      throwIfAborted(request.signal, "pulling an image");
      const problem = abort.signal.aborted ? `no answer in ${this.#headTimeoutMs} ms` : causeMessage(cause);
      if (!CERTIFICATE_PROBLEM.test(problem)) throw new ImageRegistryError(url, problem, { cause });
      const hint = "add the registry's certificate authority with `registry: { caCerts }`";
      throw new ImageRegistryError(url, problem, { cause, hint, isFinal: true });
    } finally {
      clearTimeout(timer);
      request.signal?.removeEventListener("abort", forward);
    }
  }
}

function tooSlow(url: string, bytes: number, ms: number): ImageRegistryError {
  return new ImageRegistryError(url, `only ${bytes} bytes in ${Math.round(ms)} ms`);
}

function waitByTimer(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  return delay(waitMs, undefined, signal === undefined ? {} : { signal });
}

/** Returns the real cause: one runtime says only "fetch failed" and keeps the reason in the error's cause. */
function causeMessage(error: unknown): string {
  return messageOf(error instanceof Error && error.cause instanceof Error ? error.cause : error);
}

/** @throws {AbortedError} if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, action: string): void {
  if (signal?.aborted) throw new AbortedError(action, signal.reason);
}

/** Returns whether the network failed: there was no answer, rather than an unwanted one. */
function isRetriable(error: unknown): error is ImageRegistryError {
  return error instanceof ImageRegistryError && error.status === undefined && !error.isFinal;
}

async function busyError(url: string, response: Response): Promise<ImageRegistryError> {
  await response.body?.cancel();
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"));
  return new ImageRegistryError(url, `status ${response.status}`, {
    status: response.status,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(response.status === 429
      ? { hint: "the registry limits requests: log in, or use a mirror of the image" }
      : {}),
  });
}

/** Parses a `Retry-After` header, in either of its forms, to milliseconds (RFC 9110, section 10.2.3). */
export function parseRetryAfter(header: string | null, now: number = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\s*[0-9]{1,9}\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function redirectTarget(from: string, location: string, status: number): URL {
  if (!URL.canParse(location, from)) throw new ImageRegistryError(from, "bad redirect", { status });
  const target = new URL(location, from);
  const downgrade = new URL(from).protocol === "https:" && target.protocol !== "https:";
  if (downgrade || (target.protocol !== "https:" && target.protocol !== "http:")) {
    throw new ImageRegistryError(from, `refused redirect to ${target.protocol}`, { status });
  }
  return target;
}

function withoutAuthorization(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"),
  );
}
