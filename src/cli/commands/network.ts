/** `msb network …`: whom a sandbox may reach, and whom it has reached. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import {
  type Destination,
  InvalidConfigError,
  type NetworkFlow,
  type NetworkFlowRecord,
  type NetworkInfo,
  type Rule,
  Sandbox,
} from "../../../mod.ts";
import { adopt, formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatBytes } from "../format.ts";
import { toRules, withRuleFlags } from "../network_flags.ts";
import { parseTime } from "../parse.ts";
import { formatPort } from "../sandbox_table.ts";
import { formatJson, formatPairs } from "../table.ts";
import { escapeControls } from "../terminal_text.ts";

export function networkCommand(cli: CliContext): CommandUnknownOpts {
  const command = new Command("network")
    .alias("net")
    .description("show and change whom a sandbox may reach, and show whom it has reached");
  return adopt(command, [logCommand(cli), showCommand(cli), updateCommand(cli)]);
}

function logCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("log")
    .summary("show what was decided about its connections")
    .description(
      "Shows what was decided about a sandbox's connections, whether it runs or not: a line when one is let in or denied, and one when it ends.",
    )
    .argument("<name>", "the sandbox")
    .option("-f, --follow", "wait for more, until the sandbox ends")
    .option("--since <time>", "only from this time on: RFC 3339, or how long ago, e.g. 5m", (text) =>
      parseTime(text),
    )
    .option("--json", "one JSON object a line, with a cursor to resume from")
    .action(async (name, { follow, since, json }) => {
      const { network } = await Sandbox.get(name);
      for await (const record of network.flows({ follow, since, signal: cli.signal })) {
        await cli.throwIfInterrupted();
        await cli.stdout.line(json === true ? JSON.stringify(record) : formatRecord(record));
      }
    });
}

function showCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("show")
    .description("show the network of a sandbox, with the rules that are in force")
    .argument("<name>", "the sandbox")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (name, flags) => {
      const info = await (await Sandbox.get(name)).network.info();
      await cli.stdout.write(wantsJson(flags) ? formatJson(info) : formatPairs(cli.stdout, toPairs(info)));
    });
}

function updateCommand(cli: CliContext): CommandUnknownOpts {
  return withRuleFlags(new Command("update"))
    .summary("change whom a sandbox may reach while it runs")
    .description(
      "Changes whom a sandbox may reach, until it stops. The rules are then those given, and connections that they do not allow end.",
    )
    .argument("<name>", "the sandbox")
    .action(async (name, flags) => {
      const rules = toRules(flags);
      if (Object.keys(rules).length === 0)
        throw new InvalidConfigError([{ field: "network", problem: "must be changed in some way" }], {
          hint: "give --allow, --deny, --net-rule or --secret",
        });
      await (await Sandbox.get(name)).network.update(rules);
      await cli.stdout.line(name);
    });
}

/** `2026-11-29T16:40:01.123Z denied  tcp api.example (192.0.2.1) 443: rule 2`. What guests choose is shown as text. */
export function formatRecord(record: NetworkFlowRecord): string {
  const time = record.timestamp.toISOString();
  if (record.kind === "lost") return `${time} ${record.records} records are lost`;
  const { decision, protocol, reason, rule, detail, endedAs } = record;
  const parts = [
    rule === undefined ? reason : `rule ${rule}`,
    ...(detail === undefined ? [] : [detail]),
    ...(endedAs === undefined
      ? []
      : [`${endedAs}, ${formatBytes(record.bytesIn)} in, ${formatBytes(record.bytesOut)} out`]),
  ];
  return escapeControls(`${time} ${decision.padEnd(7)} ${protocol} ${whereOf(record)}: ${parts.join(", ")}`);
}

function whereOf({ protocol, name, address, port }: NetworkFlow): string {
  if (protocol === "dns") return name ?? address;
  const end = port === 0 ? address : `${address.includes(":") ? `[${address}]` : address}:${port}`;
  return name === undefined ? end : `${name} (${end})`;
}

function toPairs(info: NetworkInfo) {
  const { mode, ip, gateway, tapName, ports, egress } = info;
  const rules = egress?.policy.rules.map((rule, index) => [`rule ${index}`, formatRule(rule)] as const) ?? [];
  return [
    ["mode", mode],
    ["address", ip],
    ["gateway", gateway],
    ["tap", tapName],
    ["ports", ports.map(formatPort).join(" ") || undefined],
    ...rules,
    ["otherwise", egress?.policy.defaultEgress],
    ["tls", egress?.tls === undefined ? undefined : `read on ${egress.tls.interceptedPorts.join(", ")}`],
    ["secrets", egress?.secrets.map(({ envVar }) => envVar).join(" ") || undefined],
    ["connections", egress?.maxConnections],
  ] as const;
}

/** As `--net-rule` takes it. */
export function formatRule({ action, direction, destination, protocols, ports }: Rule): string {
  const ranges = ports.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`)).join(",");
  const target = targetOf(destination);
  const bracketed = target.includes(":") ? `[${target}]` : target;
  const protocol = protocols.join("+") || (ranges === "" ? "" : "any");
  const way = direction === "egress" ? "" : `:${direction}`;
  return `${action}${way}@${[bracketed, protocol, ranges].filter((part) => part !== "").join(":")}`;
}

function targetOf(destination: Destination): string {
  switch (destination.kind) {
    case "any":
      return "any";
    case "cidr":
      return destination.cidr;
    case "domain":
      return destination.domain;
    case "domainSuffix":
      return /^\*?\./.test(destination.suffix) ? destination.suffix : `.${destination.suffix}`;
    case "group":
      return destination.group;
  }
}
