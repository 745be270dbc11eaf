/**
 * The flags that say whom a guest may reach, and what they mean to the library.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import {
  InvalidConfigError,
  type NetworkMode,
  type NetworkOptions,
  type PolicyOptions,
  type SecretOptions,
} from "../../mod.ts";
import { collect, parseCount } from "./parse.ts";

/** Adds the flags for rules and secrets, which a sandbox that runs takes, too. */
export function withRuleFlags<A extends unknown[], O extends Record<string, unknown>>(
  command: Command<A, O>,
) {
  return command
    .option(
      "--allow <TARGET[:PORTS]>",
      "whom the guest may reach, and nothing else: a name, *.NAME, a network, a group such as public; repeatable",
      collect((text: string) => text),
    )
    .option(
      "--deny <TARGET[:PORTS]>",
      "whom it may not reach, whatever else is allowed; repeatable",
      collect((text: string) => text),
    )
    .option(
      "--net-rule <RULES>",
      "rules such as allow@api.example:tcp:443, with commas between them; repeatable",
      collect((text: string) => text.split(/,(?=(?:allow|deny)\b)/)),
    )
    .option(
      "--secret <NAME@HOST[,HOST]>",
      "environment variable whose value these hosts get, and the guest does not see; repeatable",
      collect(parseSecret),
    );
}

/** Adds all flags of the network that a new sandbox takes. */
export function withNetworkFlags<A extends unknown[], O extends Record<string, unknown>>(
  command: Command<A, O>,
) {
  return withRuleFlags(command)
    .addOption(
      new Option("--net, --network <mode>", "network of the guest; rules and secrets imply user").choices([
        "none",
        "user",
        "tap",
      ] as const),
    )
    .option(
      "--dns-nameserver <ADDRESS[:PORT]>",
      "name server for the guest; repeatable",
      collect((text) => text),
    )
    .option("--tls-intercept", "read TLS on the way; implied by secrets")
    .option(
      "--tls-bypass <NAME>",
      "host whose TLS passes unread: a name, or *.NAME; repeatable",
      collect((text) => text),
    )
    .option(
      "--tls-upstream-ca-cert <path>",
      "authorities of servers to trust, too; repeatable",
      collect((text) => text),
    )
    .option("--tls-intercept-ca-cert <path>", "authority that signs for the guest, instead of the home's")
    .option("--tls-intercept-ca-key <path>", "its key")
    .option("--max-connections <count>", "TCP connections at once", parseCount);
}

/** What the flags for rules and secrets give. */
export interface RuleFlags {
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
  readonly netRule?: readonly (readonly string[])[] | undefined;
  readonly secret?: readonly (readonly [string, SecretOptions])[] | undefined;
}

/** What all flags of the network give. */
export interface NetworkFlags extends RuleFlags {
  readonly network?: NetworkMode | undefined;
  readonly dnsNameserver?: readonly string[] | undefined;
  readonly tlsIntercept?: true | undefined;
  readonly tlsBypass?: readonly string[] | undefined;
  readonly tlsUpstreamCaCert?: readonly string[] | undefined;
  readonly tlsInterceptCaCert?: string | undefined;
  readonly tlsInterceptCaKey?: string | undefined;
  readonly maxConnections?: number | undefined;
}

type Rules = Pick<PolicyOptions, "allow" | "deny" | "rules"> & {
  readonly secrets?: Readonly<Record<string, SecretOptions>>;
};

/** The library's options that the flags for rules and secrets stand for: those that were given. */
export function toRules({ allow, deny, netRule, secret }: RuleFlags): Rules {
  return {
    ...(allow === undefined ? {} : { allow }),
    ...(deny === undefined ? {} : { deny }),
    ...(netRule === undefined ? {} : { rules: netRule.flat() }),
    ...(secret === undefined ? {} : { secrets: Object.fromEntries(secret) }),
  };
}

/** The network that the flags stand for; `undefined` if none was given. */
export function toNetwork(flags: NetworkFlags): NetworkMode | NetworkOptions | undefined {
  const { network: mode, dnsNameserver, maxConnections } = flags;
  const tls = toTls(flags);
  const options = {
    ...toRules(flags),
    ...(dnsNameserver === undefined ? {} : { dns: { nameservers: dnsNameserver } }),
    ...(tls === undefined ? {} : { tls }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
  };
  if (Object.keys(options).length === 0) return mode;
  // The library refuses, by name, what only the mode user has.
  return { ...(mode === undefined ? {} : { mode }), ...options } as NetworkOptions;
}

function toTls({
  tlsIntercept,
  tlsBypass,
  tlsUpstreamCaCert,
  tlsInterceptCaCert,
  tlsInterceptCaKey,
}: NetworkFlags) {
  const tls = {
    ...(tlsBypass === undefined ? {} : { bypass: tlsBypass }),
    ...(tlsUpstreamCaCert === undefined ? {} : { upstreamCaCertPaths: tlsUpstreamCaCert }),
    ...(tlsInterceptCaCert === undefined ? {} : { interceptCaCertPath: tlsInterceptCaCert }),
    ...(tlsInterceptCaKey === undefined ? {} : { interceptCaKeyPath: tlsInterceptCaKey }),
  };
  return Object.keys(tls).length === 0 ? tlsIntercept : tls;
}

/** `"GH_TOKEN@api.github.example,*.ghe.example"`. The value is never on the command line, where others could read it. */
export function parseSecret(text: string): readonly [string, SecretOptions] {
  const [, name, hosts] = /^([A-Za-z_][A-Za-z0-9_]*)@(.+)$/.exec(text) ?? [];
  if (name !== undefined && hosts !== undefined) return [name, { hosts: hosts.split(",") }];
  const [, given] = /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(text) ?? [];
  if (given === undefined)
    throw new InvalidArgumentError("It must be NAME@HOST, with commas between several hosts.");
  // Commander would show the argument with the value, and others keep that in logs.
  const problem =
    "must be NAME@HOST: the value comes from your environment, as others can read a command line";
  throw new InvalidConfigError([{ field: `network.secrets.${given}`, problem }]);
}
