/**
 * Reads manifests and blobs from a registry.
 *
 * Source: OCI Distribution Specification 1.1, section "Pull" (the same as Docker Registry HTTP API V2).
 *
 * @module
 */
import { type Bytes, concatBytes, KiB } from "../../base/bytes.ts";
import { type Credentials, findCredentials, type RegistryAuth } from "./credentials.ts";
import { type Digest, DigestVerifier, isDigest, sha256Digest } from "./digest.ts";
import {
  ImageAuthError,
  ImageDigestMismatchError,
  ImageNotFoundError,
  ImageRegistryError,
} from "./errors.ts";
import { MANIFEST_ACCEPT, MANIFEST_BYTES_MAX } from "./manifest.ts";
import { RegistryAuthorizer } from "./registry_auth.ts";
import { ATTEMPTS_MAX, RegistryHttp, type RegistryHttpOptions, throwIfAborted } from "./registry_http.ts";

/** Most times that a blob's download resumes after a cut. Each attempt must bring {@linkcode PROGRESS_BYTES_MIN}. */
export const RESUMES_MAX = 50;

/**
 * Bytes that an attempt must bring to count as progress, so that a server that sends one byte and hangs is not tried
 * fifty times.
 */
export const PROGRESS_BYTES_MIN = 64 * KiB;

/** How to reach a registry. */
export interface RegistryOptions {
  /** Credentials to use. @default what Docker's client configuration has for the registry, else anonymous */
  readonly auth?: RegistryAuth | undefined;
  /** Use plain HTTP. Otherwise only a registry on this machine's loopback may. @default {false} */
  readonly insecure?: boolean | undefined;
  /** PEM texts of certificate authorities to trust in addition to the system's. */
  readonly caCerts?: readonly string[] | undefined;
}

export interface RegistryClientOptions extends RegistryOptions {
  /** Host as in references, e.g. `"docker.io"`. */
  readonly registry: string;
  /** Limits of the HTTP layer, for tests. */
  readonly http?: RegistryHttpOptions | undefined;
  /** Environment in which Docker's configuration is looked up. @default {process.env} */
  readonly environment?: NodeJS.ProcessEnv | undefined;
}

/** A manifest as the registry stores it. */
export interface FetchedManifest {
  readonly bytes: Bytes;
  readonly digest: Digest;
}

/** Digest and size of a blob to download. */
export interface BlobExpectation {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export class RegistryClient {
  readonly registry: string;
  readonly #http: RegistryHttp;
  readonly #insecure: boolean;
  readonly #authorizer: RegistryAuthorizer;
  #base: Promise<string> | undefined;

  constructor(options: RegistryClientOptions) {
    this.registry = options.registry;
    this.#insecure = options.insecure ?? false;
    this.#http = new RegistryHttp({ ...options.http, caCerts: options.caCerts ?? [] });
    const { auth, environment } = options;
    this.#authorizer = new RegistryAuthorizer({
      registry: options.registry,
      http: this.#http,
      allowPlainHttp: this.#insecure || isLoopback(options.registry),
      credentials: (signal): Promise<Credentials> =>
        auth === undefined ? findCredentials(options.registry, environment, signal) : Promise.resolve(auth),
    });
  }

  close(): void {
    this.#http.close();
  }

  /**
   * @param reference Tag or digest.
   * @throws {ImageNotFoundError | ImageAuthError | ImageRegistryError | ImageDigestMismatchError | AbortedError}
   */
  async fetchManifest(repository: string, reference: string, signal?: AbortSignal): Promise<FetchedManifest> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const { response, bytes } = await this.#http.readWhole(
      () => this.#get(repository, path, { accept: MANIFEST_ACCEPT }, reference, signal),
      MANIFEST_BYTES_MAX,
      signal,
    );
    const promised = isDigest(reference) ? reference : digestHeader(response);
    if (promised === undefined) return { bytes, digest: sha256Digest(bytes) };
    const verifier = new DigestVerifier(promised, `manifest ${repository}:${reference}`);
    verifier.update(bytes);
    verifier.finish();
    return { bytes, digest: promised };
  }

  /**
   * Returns the digest that a tag points to now, or `undefined` if the registry does not tell it without sending the
   * manifest.
   */
  async headManifest(repository: string, tag: string, signal?: AbortSignal): Promise<Digest | undefined> {
    const path = `/v2/${repository}/manifests/${tag}`;
    const response = await this.#get(repository, path, { accept: MANIFEST_ACCEPT }, tag, signal, "HEAD");
    await response.body?.cancel();
    return digestHeader(response);
  }

  /** Returns a blob that is small enough to be kept in memory. */
  async fetchBlob(
    repository: string,
    blob: BlobExpectation,
    bytesMax: number,
    signal?: AbortSignal,
  ): Promise<Bytes> {
    if (blob.sizeBytes > bytesMax) {
      throw new ImageDigestMismatchError(
        `blob ${blob.digest}`,
        `at most ${bytesMax} bytes`,
        `${blob.sizeBytes}`,
      );
    }
    const parts: Uint8Array[] = [];
    for await (const chunk of this.readBlob(repository, blob, signal)) parts.push(chunk);
    return concatBytes(parts);
  }

  /**
   * Yields a blob's bytes, each once, from first to last. A connection that is cut is resumed where it was cut. Size
   * and digest are verified at the end: do not use the bytes before the generator is done.
   *
   * @throws {ImageDigestMismatchError} The bytes or their number do not match.
   * @throws {ImageNotFoundError | ImageAuthError | ImageRegistryError | AbortedError}
   */
  async *readBlob(
    repository: string,
    blob: BlobExpectation,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const subject = `blob ${blob.digest}`;
    const verifier = new DigestVerifier(blob.digest, subject);
    let received = 0;
    let triesWithoutProgress = 0;
    for (let resumes = 0; received < blob.sizeBytes || resumes === 0; resumes++) {
      const before = received;
      let failure: unknown;
      try {
        for await (const chunk of this.#readBlobFrom(repository, blob, received, signal)) {
          received += chunk.length;
          if (received > blob.sizeBytes) {
            throw new ImageDigestMismatchError(subject, `${blob.sizeBytes} bytes`, "more");
          }
          verifier.update(chunk);
          yield chunk;
        }
        if (received === blob.sizeBytes) break;
        const url = `${await this.#baseUrl(signal)}/v2/${repository}/blobs/${blob.digest}`;
        failure = new ImageRegistryError(url, `cut off after ${received} of ${blob.sizeBytes} bytes`);
      } catch (error) {
        if (!(error instanceof ImageRegistryError) || error.status !== undefined || error.isFinal)
          throw error;
        failure = error;
      }
      triesWithoutProgress = received - before >= PROGRESS_BYTES_MIN ? 0 : triesWithoutProgress + 1;
      if (triesWithoutProgress === ATTEMPTS_MAX || resumes === RESUMES_MAX) throw failure;
      await this.#http.pause(triesWithoutProgress + 1, failure, signal);
    }
    verifier.finish();
  }

  async *#readBlobFrom(
    repository: string,
    blob: BlobExpectation,
    offset: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const path = `/v2/${repository}/blobs/${blob.digest}`;
    const range: Record<string, string> = offset === 0 ? {} : { range: `bytes=${offset}-` };
    const response = await this.#get(repository, path, range, blob.digest, signal);
    let skip = bytesToSkip(response, offset);
    if (skip === undefined) {
      await response.body?.cancel();
      throw new ImageRegistryError(response.url || path, "the server sent a range that was not requested", {
        status: response.status,
      });
    }
    for await (const chunk of this.#http.readBody(response, signal)) {
      const skipped = Math.min(skip, chunk.length);
      skip -= skipped;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
    }
  }

  /** Sends a request, with whatever login the registry requires, until it succeeds. */
  async #get(
    repository: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    name: string,
    signal: AbortSignal | undefined,
    method: "GET" | "HEAD" = "GET",
  ): Promise<Response> {
    const url = (await this.#baseUrl(signal)) + path;
    const scope = `repository:${repository}:pull`;
    let authorization = await this.#authorizer.known(scope);
    for (let logins = 0; ; logins++) {
      const response = await this.#http.request(url, {
        method,
        headers: authorization === undefined ? headers : { ...headers, authorization },
        signal,
      });
      if (response.ok) return response;
      await response.body?.cancel();
      const subject = `${this.registry}/${repository}${isDigest(name) ? "@" : ":"}${name}`;
      if (response.status === 404) throw new ImageNotFoundError(subject, "in the registry");
      if (response.status === 403 || (response.status === 401 && logins > 0)) {
        throw new ImageAuthError(this.registry, `no access to ${repository}`, {
          status: response.status,
          hint: "check the name; for a private image pass `registry: { auth }` or log in with `docker login`",
        });
      }
      if (response.status !== 401) {
        throw new ImageRegistryError(url, `status ${response.status}`, { status: response.status });
      }
      if (!isSameOrigin(response.url, url)) {
        // Another server must not get the registry's password, nor say where to send it.
        const problem = "status 401 from the server that the registry redirects to";
        throw new ImageRegistryError(response.url, problem, { status: 401 });
      }
      const challenge = response.headers.get("www-authenticate");
      authorization = await this.#authorizer.answer(challenge, scope, authorization, signal);
    }
  }

  #baseUrl(signal: AbortSignal | undefined): Promise<string> {
    this.#base ??= this.#findBaseUrl(signal).catch((error) => {
      this.#base = undefined;
      throw error;
    });
    return this.#base;
  }

  /** Chooses HTTPS, except where the option or Docker's rule for registries on loopback allows plain HTTP. */
  async #findBaseUrl(signal: AbortSignal | undefined): Promise<string> {
    const host = this.registry === "docker.io" ? "registry-1.docker.io" : this.registry;
    if (this.#insecure) return `http://${host}`;
    if (!isLoopback(host)) return `https://${host}`;
    for (const base of [`https://${host}`, `http://${host}`]) {
      try {
        const response = await this.#http.requestOnce(`${base}/v2/`, { signal });
        await response.body?.cancel();
        // Any other answer only shows that something listens there, such as a TLS port that was sent plain text.
        if (response.ok || response.status === 401) return base;
      } catch (error) {
        throwIfAborted(signal, "pulling an image");
        if (!(error instanceof ImageRegistryError) || error.isFinal) throw error;
      }
    }
    return `https://${host}`; // neither answers: let the real request say so, with its retries
  }
}

/** Returns whether a registry's host is this machine, by name or address. */
export function isLoopback(registry: string): boolean {
  const host = registry.replace(/:[0-9]+$/, "");
  return host === "localhost" || host === "[::1]" || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}

/** Returns whether two addresses have the same origin. An invalid address has none. */
function isSameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && new URL(a).origin === new URL(b).origin;
}

function digestHeader(response: Response): Digest | undefined {
  const value = response.headers.get("docker-content-digest");
  return value !== null && isDigest(value) ? value : undefined;
}

/**
 * Returns how many bytes at the start of a body are already known, or `undefined` for a range that does not begin at
 * `offset`.
 */
function bytesToSkip(response: Response, offset: number): number | undefined {
  if (response.status !== 206) return offset; // the whole blob: this server does not support ranges
  const start = /^bytes ([0-9]+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
  return start !== undefined && Number(start) === offset ? 0 : undefined;
}
