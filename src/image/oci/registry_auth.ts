/**
 * Logs in to a registry: turns a 401 answer and credentials into the `Authorization` header of the next attempt.
 *
 * Sources: Distribution specification, "Token authentication" (docs/content/spec/auth/token.md, oauth.md), RFC 6750,
 * RFC 7617.
 *
 * @module
 */
import { z } from "zod";
import { encodeUtf8 } from "../../base/bytes.ts";
import { type AuthChallenge, parseChallenges } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import { ImageAuthError } from "./errors.ts";
import type { RegistryHttp } from "./registry_http.ts";

/** Lifetime of a token if its server does not state one, as the specification says. */
export const TOKEN_LIFETIME_DEFAULT_MS = 60_000;
/** Safety margin before a token's expiry. */
export const TOKEN_MARGIN_MS = 5000;
/** Largest answer of a token server. */
export const TOKEN_ANSWER_BYTES_MAX = 256 * 1024;

const tokenSchema = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().positive().optional(),
});

interface Grant {
  readonly header: string;
  /** On the monotonic clock. */
  readonly expiresAtMs: number;
}

export interface RegistryAuthorizerOptions {
  readonly registry: string;
  readonly http: RegistryHttp;
  /** Called at most once, when the registry requires a login. */
  readonly credentials: (signal: AbortSignal | undefined) => Promise<Credentials>;
  /** Whether secrets may travel unencrypted. */
  readonly allowPlainHttp: boolean;
}

/** Holds the login of one registry: a token per scope, fetched once for all callers. */
export class RegistryAuthorizer {
  readonly #options: RegistryAuthorizerOptions;
  readonly #grants = new Map<string, Promise<Grant>>();
  #credentials: Promise<Credentials> | undefined;

  constructor(options: RegistryAuthorizerOptions) {
    this.#options = options;
  }

  /** Returns the header that worked for `scope` before, as long as it is valid. */
  async known(scope: string): Promise<string | undefined> {
    const grant = await this.#grants.get(scope)?.catch(() => undefined); // the caller that asked for it got the error
    return grant !== undefined && grant.expiresAtMs > performance.now() ? grant.header : undefined;
  }

  /**
   * Answers a challenge.
   *
   * @param refused The header that was refused, if one was sent.
   * @throws {ImageAuthError} The login failed.
   */
  async answer(
    challengeHeader: string | null,
    scope: string,
    refused: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const current = await this.known(scope);
    if (current !== undefined && current !== refused) return current; // another caller was faster
    const granting = this.#grant(parseChallenges(challengeHeader ?? ""), scope, signal);
    granting.catch(() => this.#grants.delete(scope));
    this.#grants.set(scope, granting);
    return (await granting).header;
  }

  async #grant(
    challenges: readonly AuthChallenge[],
    scope: string,
    signal: AbortSignal | undefined,
  ): Promise<Grant> {
    this.#credentials ??= this.#options.credentials(signal);
    this.#credentials.catch(() => {
      this.#credentials = undefined;
    });
    const credentials = await this.#credentials;
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) {
      if (credentials.kind === "bearer") return forever(`Bearer ${credentials.token}`);
      return await this.#fetchToken(bearer, credentials, scope, signal);
    }
    if (challenges.some(({ scheme }) => scheme === "basic")) {
      if (credentials.kind === "basic") return forever(basicHeader(credentials));
      throw this.#error("it requires a user name and password, and none are configured", 401);
    }
    throw this.#error("it offers no authentication scheme that this library supports", 401);
  }

  async #fetchToken(
    challenge: AuthChallenge,
    credentials: Exclude<Credentials, { kind: "bearer" }>,
    scope: string,
    signal: AbortSignal | undefined,
  ): Promise<Grant> {
    const realm = this.#checkRealm(challenge.parameters.get("realm"), credentials);
    const service = challenge.parameters.get("service");
    const send = (): Promise<Response> =>
      credentials.kind === "identity"
        ? this.#postToken(realm, service, scope, credentials.token, signal)
        : this.#getToken(realm, service, scope, credentials, signal);
    const { bytes } = await this.#options.http.readWhole(
      async () => await this.#accepted(await send()),
      TOKEN_ANSWER_BYTES_MAX,
      signal,
    );
    return this.#readGrant(bytes);
  }

  async #accepted(response: Response): Promise<Response> {
    if (response.ok) return response;
    await response.body?.cancel();
    throw this.#error(`its token server answered with status ${response.status}`, response.status);
  }

  #getToken(
    realm: URL,
    service: string | undefined,
    scope: string,
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const url = new URL(realm);
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", scope);
    const headers: Record<string, string> = {};
    if (credentials.kind === "basic") {
      url.searchParams.set("account", credentials.username);
      headers["authorization"] = basicHeader(credentials);
    }
    return this.#options.http.request(url.href, { headers, signal });
  }

  #postToken(
    realm: URL,
    service: string | undefined,
    scope: string,
    refreshToken: string,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      service: service ?? "",
      client_id: "microsandbox",
      scope,
      refresh_token: refreshToken,
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.#options.http.request(realm.href, { method: "POST", headers, body: form.toString(), signal });
  }

  #readGrant(bytes: Uint8Array): Grant {
    let answer: z.output<typeof tokenSchema>;
    try {
      answer = tokenSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
    } catch {
      throw this.#error("its token server gave no token"); // no cause: it could quote a secret
    }
    const token = answer.token || answer.access_token;
    if (!token || !/^[\x21-\x7e]+$/.test(token)) throw this.#error("its token server gave no token");
    const lifetimeMs = answer.expires_in === undefined ? TOKEN_LIFETIME_DEFAULT_MS : answer.expires_in * 1000;
    return { header: `Bearer ${token}`, expiresAtMs: performance.now() + lifetimeMs - TOKEN_MARGIN_MS };
  }

  #checkRealm(realm: string | undefined, credentials: Credentials): URL {
    if (realm === undefined || !URL.canParse(realm)) throw this.#error("it names no token server", 401);
    const url = new URL(realm);
    const secret = credentials.kind !== "anonymous";
    if (
      url.protocol === "https:" ||
      (url.protocol === "http:" && (!secret || this.#options.allowPlainHttp))
    ) {
      return url;
    }
    throw this.#error(`refused to send credentials to its token server over ${url.protocol}`, 401);
  }

  #error(problem: string, status?: number): ImageAuthError {
    return new ImageAuthError(this.#options.registry, problem, {
      ...(status === undefined ? {} : { status }),
      hint: "check the image's name; for a private image pass `registry: { auth }` or log in with `docker login`",
    });
  }
}

function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(encodeUtf8(`${username}:${password}`)).toString("base64")}`;
}

function forever(header: string): Grant {
  return { header, expiresAtMs: Number.POSITIVE_INFINITY };
}
