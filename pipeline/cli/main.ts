import { runnerCommands } from "./commands/mod.ts";
import { ManifestError } from "../manifest/problem.ts";
import { messageOf } from "../errors.ts";
import { processScreen } from "../tell/terminal/screen.ts";
import type { CommandDefinition, CommandWords, Program } from "./command.ts";
import { parseCommandLine } from "./command_line.ts";
import { UsageError } from "./told_error.ts";

export type { Program } from "./command.ts";

/** Exit status for a command line that cannot be understood. */
const USAGE_STATUS = 2;

/**
 * The command line of a pipeline program.
 *
 * Returns the exit status: 0 only when all went well, 1 when something failed, 2 for a command line
 * that cannot be understood, 130 after a stop. What goes wrong is told in a sentence, never thrown.
 */
export async function main(args: readonly string[], program: Program): Promise<number> {
  const screen = program.screen ?? processScreen();
  try {
    const words = wordsOf(program);
    const definitions = await definitionsOf(args, words);
    const request = parseCommandLine(args, { words, definitions }, program);
    if ("text" in request) {
      screen.write(request.text);
      return 0;
    }
    return await definitions[request.command]!.run({ program, screen, args, ...request });
  } catch (error) {
    // Problems of a manifest are a line each; anything else is one line.
    const line = messageOf(error);
    const sentence = line.startsWith("Cannot ") ? line : `Cannot go on: ${line}`;
    screen.error(`${error instanceof ManifestError ? error.message : sentence}\n`);
    if (args.includes("--debug") && error instanceof Error) screen.error(`${error.stack}\n`);
    if (!(error instanceof UsageError)) return 1;
    screen.error("See --help for what there is\n");
    return USAGE_STATUS;
  }
}

/** The words of the command line, the program's own among the runner's, in the order of letters. */
function wordsOf(program: Program): CommandWords {
  const all = { ...runnerCommands, ...program.commands };
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1));
}

/** What the words do that stand somewhere in a command line; the modules of others are not read. */
async function definitionsOf(
  args: readonly string[],
  words: CommandWords,
): Promise<Readonly<Record<string, CommandDefinition>>> {
  const named = Object.entries(words).filter(([name]) => args.includes(name));
  return Object.fromEntries(
    await Promise.all(named.map(async ([name, { load }]) => [name, await load()] as const)),
  );
}
