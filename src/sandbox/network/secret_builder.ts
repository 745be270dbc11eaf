/**
 * Builds a secret's options step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError, UnsupportedError } from "../../base/errors.ts";
import type { NetworkMode } from "../../network/network_plan.ts";
import type { NetworkOptions, UserNetworkOptions } from "../../options/network_options.ts";
import type { SecretInjectionOptions, SecretOptions, SecretSource } from "../../options/secret_options.ts";
import type { ViolationActionBuilder } from "./part_builders.ts";

/** What `secret()` and `secretEnv()` hand out. */
export class SecretBuilder {
  #name: string | undefined;
  #options: SecretOptions = {};

  /** Sets the name of its variable in the guest. */
  env(name: string): this {
    this.#name = name;
    return this;
  }

  /** Sets its value, or where it is read from at each start. @default the variable of this process that has its name */
  value(value: string | SecretSource): this {
    if (typeof value !== "string") return this.from(value);
    return this.#set({ value });
  }

  /** Sets where its value is read from at each start: `from(SecretSource.env("GH_TOKEN"))`. */
  from(source: SecretSource): this {
    return this.#set({ from: source });
  }

  /** Sets what the guest has instead of the value. @default `$MSB_` and its name */
  placeholder(placeholder: string): this {
    return this.#set({ placeholder });
  }

  /** Lets a host have it, besides those named before: a name or an address. */
  allowHost(host: string): this {
    return this.#set({ hosts: [...(this.#options.hosts ?? []), host] });
  }

  /** Lets every host below a name have it: `"*.files.example"`. */
  allowHostPattern(pattern: string): this {
    return this.allowHost(pattern);
  }

  /** Gives it to every host that the policy allows: the guest can then read it through its own server. */
  allowAnyHostDangerous(iUnderstand: boolean): this {
    return this.#set({ allowAnyHost: iUnderstand });
  }

  /** Sets whether a host must prove its name by TLS before it gets the secret. @default {true} */
  requireTlsIdentity(enabled: boolean): this {
    return this.#set({ requireTlsIdentity: enabled });
  }

  /** Sets whether it is put into the values of header fields. @default {true} */
  injectHeaders(enabled: boolean): this {
    return this.#inject({ headers: enabled });
  }

  /** Sets whether it is put into user name and password of basic authentication. @default {true} */
  injectBasicAuth(enabled: boolean): this {
    return this.#inject({ basicAuth: enabled });
  }

  /** Sets whether it is put into the query of the URL. @default {false} */
  injectQuery(enabled: boolean): this {
    return this.#inject({ queryParams: enabled });
  }

  /** Sets whether it is put into the body. @default {false} */
  injectBody(enabled: boolean): this {
    return this.#inject({ body: enabled });
  }

  /** Not supported for one secret. @throws {UnsupportedError} always */
  onViolation(_configure: (action: ViolationActionBuilder) => ViolationActionBuilder): this {
    throw new UnsupportedError(
      "What happens to a secret on its way to a host that may not get it is set for all secrets",
      {
        hint: "network((n) => n.onSecretViolation((v) => v.blockAndTerminate()))",
      },
    );
  }

  /** The name and the options. @throws {InvalidConfigError} without a name. */
  build(): { readonly name: string; readonly secret: SecretOptions } {
    if (this.#name === undefined)
      throw new InvalidConfigError([
        { field: "network.secrets", problem: "must have a name: call env(name)" },
      ]);
    return { name: this.#name, secret: this.#options };
  }

  #inject(injection: SecretInjectionOptions): this {
    return this.#set({ injection: { ...this.#options.injection, ...injection } });
  }

  #set(options: SecretOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}

/**
 * Adds secrets to a network, whatever else is set on it.
 *
 * @throws {InvalidConfigError} if it has one of them already, or can have none.
 */
export function withSecrets(
  network: NetworkMode | NetworkOptions | undefined,
  secrets: Readonly<Record<string, SecretOptions>>,
): NetworkOptions {
  const mode = typeof network === "string" ? network : network?.mode;
  const given: NetworkOptions = typeof network === "object" ? network : {};
  if (mode !== undefined && mode !== "user") {
    const problem = `must be "user" with secrets: current value is ${mode}`;
    throw new InvalidConfigError([{ field: "network.mode", problem }]);
  }
  const { secrets: own = {}, ...others }: UserNetworkOptions =
    given.mode === "tap" || given.mode === "none" ? {} : given;
  return { ...others, mode: "user", secrets: joinSecrets(own, secrets) };
}

/** Both. @throws {InvalidConfigError} for a name that is in both. */
export function joinSecrets(
  some: Readonly<Record<string, SecretOptions>>,
  more: Readonly<Record<string, SecretOptions>>,
): Readonly<Record<string, SecretOptions>> {
  const twice = Object.keys(more).filter((name) => Object.hasOwn(some, name));
  if (twice.length === 0) return { ...some, ...more };
  throw new InvalidConfigError(
    twice.map((name) => ({ field: `network.secrets.${name}`, problem: "must not be there twice" })),
  );
}
