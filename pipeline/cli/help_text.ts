import type { Command } from "commander";

/** Shows every option, those that all commands take too. */
export const HELP_ALL = "--help-all";

const EXAMPLES = `
Examples:
  deno task start
  deno task run configs/qoq.yaml --set model=path/to/model
  deno task plan configs/qoq.yaml --set alpha=0.35
  deno task stages quantize

A manifest names steps; each makes one artifact, which is kept in the store and
reused as long as nothing it depends on changes. Ctrl-C stops a run at the next
good moment; the same command goes on from the steps and layers that are
finished. Relative paths begin at the current directory.`;

/** What stands at the end of short help. */
const MORE = `
All commands take --set name=value, --json, --store, --device, --memory and
others: ${HELP_ALL} says how.
`;

/** Lays out help: a command's own options first, what all take only where all is asked for. */
export function layHelp(program: Command, args: readonly string[]): void {
  const all = args.includes(HELP_ALL);
  // Where it is not help that is asked for, what is not shown would not be suggested.
  if (!all && !args.some((word) => ["-h", "--help", "help"].includes(word))) return;
  program.configureHelp({
    showGlobalOptions: all,
    visibleOptions(command) {
      const { options } = command;
      const own = command === program && !all
        ? options.filter(({ long }) => long === "--version")
        : options.filter(({ hidden }) => !hidden);
      return [...own, ...helpOptions(command)];
    },
    subcommandTerm: (command) => command.name(),
  });
  program.addHelpText("afterAll", all ? "" : MORE).addHelpText("after", EXAMPLES);
}

/** The option that asks for help. */
function helpOptions(command: Command) {
  const option = command.createOption("-h, --help", "say this");
  const all = command.createOption(HELP_ALL, "say also what all commands take");
  return [option, all];
}
