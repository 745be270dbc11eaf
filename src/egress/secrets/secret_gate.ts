/**
 * Puts secrets into requests to the hosts that may have them, and refuses requests that would carry one elsewhere.
 *
 * A guest has only placeholders. So a placeholder on its way to another host is a mistake, or an attack; a value on
 * its way there is worse: a server must have shown it to the guest.
 *
 * @module
 */
import type { SecretConfig } from "../config.ts";
import type { ByteTransform, Gate, GatedRequest } from "../http/gate.ts";
import { type HeaderField, isNamed, valuesOf } from "../http/message.ts";
import { HttpProblem } from "../http/problem.ts";
import { matchesHostPattern } from "../tls/host_name.ts";
import { type Needle, NeedleSet } from "./needles.ts";

/** A shorter value is not looked for where it may not be: it would be found by accident. */
const VALUE_CHARS_MIN = 8;
/** A part of this size of what may not pass is held back between two pieces. */
const HELD_CHARS_MIN = 4;

/** Kept gates, of a few KiB each. With so many kinds of hosts the others are made as they are needed. */
const GATES_MAX = 64;

/** A secret was on its way to a host that may not get it. */
export class SecretViolation extends HttpProblem {
  /** Name of its variable. */
  readonly secret: string;

  constructor(secret: string, what: "placeholder" | "value") {
    super(403, "blocked", `the ${what} of the secret ${secret} may not be sent to this host`);
    this.name = "SecretViolation";
    this.secret = secret;
  }
}

/** Where a request goes, as far as secrets are concerned. */
export interface SecretDestination {
  /** A name in lower case, or an address. */
  readonly host: string;
  /** Whether the server has to prove by TLS that it is that host. */
  readonly isVerified: boolean;
  /**
   * Whether the host's resolver gave the guest this address for that name. Where the server proves nothing, the name in a
   * request is only what the guest says.
   *
   * @default {false}
   */
  readonly isResolved?: boolean | undefined;
}

/** How a text is written where it stands. */
type Writing = (text: string) => string;

const asBytes: Writing = (text) => Buffer.from(text, "utf8").toString("latin1");
const asUrl: Writing = (text) => encodeURIComponent(text);
const asJson: Writing = (text) => asBytes(JSON.stringify(text).slice(1, -1));

/** The secrets of a sandbox, ready for use. Another set takes its place when they change. */
export class SecretSet {
  readonly #secrets: readonly SecretConfig[];
  readonly #isLenient: boolean;
  /** Gates by what they let pass, of which there are few. */
  readonly #gates = new Map<string, Gate>();

  /** @param isLenient Lets everything pass (`passthrough`). */
  constructor(secrets: readonly SecretConfig[], isLenient = false) {
    this.#secrets = secrets;
    this.#isLenient = isLenient;
  }

  /** What looks at requests to a host; `undefined` if there is nothing to look for. */
  gateFor(destination: SecretDestination): Gate | undefined {
    if (this.#secrets.length === 0) return undefined;
    const [allowed, forbidden] = this.#split(destination);
    const key = allowed.map(({ envVar }) => envVar).join(" ");
    const gate = this.#gates.get(key) ?? new SecretGate(allowed, this.#isLenient ? [] : forbidden);
    if (this.#gates.size < GATES_MAX) this.#gates.set(key, gate);
    return gate;
  }

  /** Checks bytes of another protocol: inserts nothing, and refuses what may not pass. */
  streamFor(destination: SecretDestination): ByteTransform | undefined {
    const [, forbidden] = this.#split(destination);
    return this.#isLenient || forbidden.length === 0
      ? undefined
      : new NeedleSet(forbiddenNeedles(forbidden)).stream();
  }

  #split(destination: SecretDestination): [allowed: SecretConfig[], forbidden: SecretConfig[]] {
    const { host, isVerified, isResolved = false } = destination;
    const isNamed = (secret: SecretConfig) =>
      secret.allowedHosts.some((name) => matchesHostPattern(name, host)) ||
      secret.allowedHostPatterns.some((pattern) => matchesHostPattern(pattern, host));
    const isAllowed = (secret: SecretConfig) =>
      (isVerified || !secret.requireTlsIdentity) &&
      (secret.allowAnyHost || ((isVerified || isResolved) && isNamed(secret)));
    return [this.#secrets.filter(isAllowed), this.#secrets.filter((secret) => !isAllowed(secret))];
  }
}

class SecretGate implements Gate {
  readonly #allowed: readonly SecretConfig[];
  readonly #forbidden: readonly Needle[];
  readonly #masks: NeedleSet;
  /** Refuses what may not pass, and replaces nothing. */
  readonly #check: NeedleSet;
  /** By place and writing. */
  readonly #sets = new Map<string, NeedleSet>();

  constructor(allowed: readonly SecretConfig[], forbidden: readonly SecretConfig[]) {
    this.#allowed = allowed;
    this.#forbidden = forbiddenNeedles(forbidden);
    this.#check = new NeedleSet(this.#forbidden);
    this.#masks = new NeedleSet(allowed.filter(isLongEnough).map(maskNeedle));
  }

  request({ path, headers }: GatedRequest): GatedRequest {
    const inHeaders = this.#needles("headers", asBytes);
    const inCredentials = this.#needles("basicAuth", asBytes);
    const written = headers.map((field) => {
      this.#check.replaceIn(field.name); // secrets are not inserted here, but it could carry one away
      return { name: field.name, value: withCredentials(field, inCredentials, inHeaders) };
    });
    return { path: this.#path(path), headers: written };
  }

  requestBody(
    headers: readonly HeaderField[],
  ): { readonly transform: ByteTransform; readonly changesLength: boolean } | undefined {
    // Compressed bodies are not read.
    if (valuesOf(headers, "content-encoding").some((coding) => coding.toLowerCase() !== "identity"))
      return undefined;
    const [type = ""] = valuesOf(headers, "content-type");
    const isForm = /^application\/x-www-form-urlencoded\b/i.test(type);
    const isJson = /^application\/(?:[\w.+-]+\+)?json\b/i.test(type);
    const writing = isForm ? asUrl : isJson ? asJson : asBytes;
    const needles = this.#needles("body", writing);
    if (needles.isEmpty) return undefined;
    const changesLength = this.#allowed.some(({ injection }) => injection.body);
    return { transform: needles.stream(), changesLength };
  }

  responseText(text: string): string {
    return this.#masks.replaceIn(text);
  }

  responseHeaders(headers: readonly HeaderField[]): readonly HeaderField[] {
    if (this.#masks.isEmpty) return headers;
    return headers.map(({ name, value }) => ({
      name: this.#masks.replaceIn(name), // a mask is a token, too
      value: this.#masks.replaceIn(value),
    }));
  }

  responseBody(): ByteTransform | undefined {
    return this.#masks.isEmpty ? undefined : this.#masks.stream();
  }

  /** The query gets its secrets; what stands before it is searched only. */
  #path(path: string): string {
    const queryStart = path.indexOf("?");
    const plain = queryStart === -1 ? path : path.slice(0, queryStart);
    const query = queryStart === -1 ? "" : path.slice(queryStart);
    this.#check.replaceIn(plain);
    return plain + this.#needles("queryParams", asUrl).replaceIn(query);
  }

  /** What is replaced in one place of a request, and what may not be in it. */
  #needles(place: keyof SecretConfig["injection"], writing: Writing): NeedleSet {
    const key = `${place} ${writing.name}`;
    const set = this.#sets.get(key) ?? this.#newNeedles(place, writing);
    this.#sets.set(key, set);
    return set;
  }

  #newNeedles(place: keyof SecretConfig["injection"], writing: Writing): NeedleSet {
    const replaced = this.#allowed
      .filter(({ injection }) => injection[place])
      .flatMap((secret) =>
        spellings(secret.placeholder).map((text): Needle => {
          const value = text === secret.placeholder ? writing(secret.value) : asUrl(secret.value);
          return { text, replace: () => value, heldCharsMin: 1 };
        }),
      );
    return new NeedleSet([...replaced, ...this.#forbidden]);
  }
}

/** The value of a field with secrets in it. Basic credentials are decoded for it (RFC 7617). */
function withCredentials({ name, value }: HeaderField, inside: NeedleSet, outside: NeedleSet): string {
  const isCredentials =
    isNamed({ name, value }, "authorization") || isNamed({ name, value }, "proxy-authorization");
  const [, scheme = "", encoded = ""] =
    (isCredentials && /^(basic) +([A-Za-z0-9+/]+={0,2})$/i.exec(value)) || [];
  if (scheme === "") return outside.replaceIn(value);
  const plain = Buffer.from(encoded, "base64").toString("latin1");
  const replaced = inside.replaceIn(plain);
  // Left as it was, if nothing changed: some servers compare texts.
  return replaced === plain
    ? outside.replaceIn(value)
    : `${scheme} ${Buffer.from(replaced, "latin1").toString("base64")}`;
}

function forbiddenNeedles(secrets: readonly SecretConfig[]): Needle[] {
  return secrets.flatMap((secret) => {
    const needle =
      (what: "placeholder" | "value") =>
      (text: string): Needle => ({
        text,
        replace: () => {
          throw new SecretViolation(secret.envVar, what);
        },
        heldCharsMin: HELD_CHARS_MIN,
      });
    const values = isLongEnough(secret) ? spellings(secret.value) : [];
    return [...spellings(secret.placeholder).map(needle("placeholder")), ...values.map(needle("value"))];
  });
}

/** A value that a server sends back becomes asterisks: as many, so that no length changes. */
function maskNeedle({ value }: SecretConfig): Needle {
  const text = asBytes(value);
  const mask = "*".repeat(text.length);
  return { text, replace: () => mask, heldCharsMin: HELD_CHARS_MIN };
}

function isLongEnough({ value }: SecretConfig): boolean {
  return value.length >= VALUE_CHARS_MIN;
}

/** A text as it is, and as it stands in URLs and forms. */
function spellings(text: string): string[] {
  return [...new Set([asBytes(text), asUrl(text)])];
}
