import { Command, CommanderError } from "commander";
import type { Setting } from "../manifest/override.ts";
import type { CommandDefinition, CommandWords } from "./command.ts";
import { addFlags, type Flags } from "./flags.ts";
import { HELP_ALL, layHelp } from "./help_text.ts";
import { UsageError } from "./told_error.ts";

/** What the user asked for: a command with its words and its own options, or help. */
export type Request =
  | {
    readonly command: string;
    readonly words: readonly string[];
    readonly flags: Flags;
    readonly own: Readonly<Record<string, unknown>>;
  }
  | { readonly command: "help"; readonly text: string };

/**
 * Reads a command line with the definitions of those words that are in it; throws a
 * {@linkcode UsageError} with the nearest right word.
 */
export function parseCommandLine(
  args: readonly string[],
  { words, definitions }: {
    readonly words: CommandWords;
    readonly definitions: Readonly<Record<string, CommandDefinition>>;
  },
  { version = "unknown" }: { readonly version?: string } = {},
): Request {
  let request: Request | undefined;
  let text = "";
  const program = new Command("quattuor")
    .description("Runs declarative pipelines of typed, cached stages.")
    .version(version, "--version", "say which version this is")
    .exitOverride()
    .configureOutput({ writeOut: (part) => text += part, writeErr: () => {} });
  layHelp(program, args);
  const set: Setting[] = [];
  addFlags(program, set);
  for (const [name, { about }] of Object.entries(words)) {
    const command = program.command(name).description(about);
    for (const [word, meaning] of definitions[name]?.words ?? []) command.argument(word, meaning);
    definitions[name]?.options?.(command);
    command.action(() => {
      const flags: Flags = { ...program.opts<Partial<Flags>>(), set };
      request = { command: name, words: command.args, flags, own: command.opts() };
    });
  }

  try {
    const spoken = args.map((word) => word === HELP_ALL ? "--help" : expandForce(word));
    program.parse(spoken, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { command: "help", text };
    if (args.length === 0) throw new UsageError("Cannot tell what to do: there is no command");
    const what = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ");
    throw new UsageError(`Cannot understand the command line: ${what}`);
  }
  if (request === undefined) throw new UsageError("Cannot tell what to do: there is no command");
  return request;
}

/** A bare `--force` means all steps; it must not swallow the manifest that may follow it. */
function expandForce(argument: string): string {
  return argument === "--force" ? "--force=*" : argument;
}
