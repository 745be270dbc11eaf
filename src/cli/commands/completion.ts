/** `msb completion`: completion of commands and names for shells. @module */
import { Argument, Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { CliContext } from "../context.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** Commands whose operand is a sandbox: their completion asks `msb ls -q`. */
const TAKES_SANDBOX: ReadonlySet<string> = new Set(
  "exec shell start stop restart kill pause resume remove rm wait inspect logs status ps".split(" "),
);

export function completionCommand(cli: CliContext, program: CommandUnknownOpts): CommandUnknownOpts {
  return new Command("completion")
    .summary("print a completion script for a shell")
    .description(
      "Prints a completion script. Bash: `source <(msb completion bash)`; zsh: the same with `zsh`, after `compinit`; " +
        "fish: `msb completion fish | source`.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .action((shell) => cli.stdout.write(SCRIPTS[shell](program)));
}

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (program: CommandUnknownOpts) => string>> = {
  bash: (program) => `${bashFunction(program)}complete -F _msb msb\n`,
  zsh: (program) =>
    `autoload -U +X bashcompinit && bashcompinit\n${bashFunction(program)}complete -F _msb msb\n`,
  fish: fishScript,
};

/** Names and aliases, visible ones only. */
function wordsOf(command: CommandUnknownOpts): string[] {
  return command.commands.flatMap((child) => [child.name(), ...child.aliases()]).sort();
}

function flagsOf(command: CommandUnknownOpts): string[] {
  return [
    ...command.options
      .filter(({ hidden }) => !hidden)
      .flatMap(({ long }) => (long === undefined ? [] : [long])),
    "--help",
  ];
}

function bashFunction(program: CommandUnknownOpts): string {
  const cases = program.commands.map((command) => {
    const names = [command.name(), ...command.aliases()].join("|");
    const words = [...wordsOf(command), ...flagsOf(command)].join(" ");
    const sandboxes = TAKES_SANDBOX.has(command.name()) ? " $(msb ls -q 2>/dev/null)" : "";
    return `    ${names}) words="${words}${sandboxes}" ;;`;
  });
  return `_msb() {
  local words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${[...wordsOf(program), "help", "--help", "--version"].join(" ")}"
  else case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
`;
}

function fishScript(program: CommandUnknownOpts): string {
  const lines = ["complete -c msb -f"];
  for (const command of program.commands) {
    const about = quote(command.summary() || command.description());
    for (const name of [command.name(), ...command.aliases()]) {
      lines.push(`complete -c msb -n __fish_use_subcommand -a ${name} -d ${about}`);
      const seen = `-n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
      for (const flag of flagsOf(command)) lines.push(`complete -c msb ${seen} -l ${flag.slice(2)}`);
      for (const word of wordsOf(command)) lines.push(`complete -c msb ${seen} -a ${word}`);
      if (TAKES_SANDBOX.has(command.name()))
        lines.push(`complete -c msb ${seen} -a "(msb ls -q 2>/dev/null)"`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`;
}
