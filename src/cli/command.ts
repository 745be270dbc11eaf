/**
 * What the command lines of several commands have in common.
 *
 * @module
 */
import {
  Command,
  type CommandUnknownOpts,
  Option,
  type ParseOptionsResult,
} from "@commander-js/extra-typings";

/**
 * A command whose operands are a subject (an image, a sandbox) and then a program with arguments of its own. Flags stand
 * before or right after the subject; from the program on, or after `--`, everything is the program's.
 */
export class ProgramCommand extends Command {
  constructor(name: string) {
    super(name);
    this.passThroughOptions();
  }

  override parseOptions(words: string[]): ParseOptionsResult {
    const { operands, unknown } = super.parseOptions(words);
    const [subject, next] = operands;
    if (subject === undefined || next?.startsWith("-") !== true) return { operands, unknown };
    const rest = super.parseOptions(operands.slice(1));
    return { operands: [subject, ...rest.operands], unknown: [...unknown, ...rest.unknown] };
  }
}

/** `-i`, as fingers know it from Docker: input is passed on anyway. */
export function interactiveOption() {
  return new Option("-i, --interactive", "accepted, as input is always passed on").hideHelp();
}

/** `--format json`, and `--json` as a shorter way to say it. */
export function formatOption() {
  return new Option("--format <format>", "output format").choices(["json"] as const);
}

/** Whether JSON was asked for. */
export function wantsJson(options: {
  readonly format?: "json" | undefined;
  readonly json?: true | undefined;
}): boolean {
  return options.json === true || options.format === "json";
}

/** Puts commands below another one. All of them speak to the same streams. */
export function adopt(
  parent: CommandUnknownOpts,
  children: readonly CommandUnknownOpts[],
  { heading, byDefault }: { readonly heading?: string; readonly byDefault?: string } = {},
): CommandUnknownOpts {
  for (const child of children) {
    if (heading !== undefined) child.helpGroup(heading);
    parent.addCommand(child, { isDefault: child.name() === byDefault });
  }
  return parent;
}

/** Gives a command and all below it the settings of `root`. */
export function inheritSettings(command: CommandUnknownOpts, root: CommandUnknownOpts): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(root);
    inheritSettings(child, root);
  }
}
