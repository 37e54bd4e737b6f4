import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { CommandDefinition } from "../commands/command.ts";
import { parseBytes } from "./bytes.ts";

/** Options that every command takes. */
export interface Flags {
  readonly json?: boolean;
  readonly store?: string;
  readonly set: readonly string[];
  /** Names of steps with commas between them, or `*`. */
  readonly force?: string;
  readonly verify: "size" | "full";
  readonly memory?: number;
  readonly debug?: boolean;
}

/** What the user asked for: a command with its words and its own options, or help. */
export type Request =
  | {
    readonly command: string;
    readonly words: readonly string[];
    readonly flags: Flags;
    readonly own: Readonly<Record<string, unknown>>;
  }
  | { readonly command: "help"; readonly text: string };

/** A command line that cannot be understood; the message is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const EXAMPLES = `
Examples:
  deno task run configs/fp16.yaml
  deno task run configs/fp16.yaml --set model=path/to/model --set windows=8
  deno task run configs/fp16.yaml --force=quality --json
  deno task plan configs/fp16.yaml

A manifest names steps; each makes one artifact, which is kept in the store and reused as long as
nothing it depends on changes. Ctrl-C stops a run at the next good moment; the same command goes on
from the steps that are finished. Relative paths begin at the current directory.`;

/** Reads a command line; throws a {@linkcode UsageError} with the nearest right word. */
export function parseCommandLine(
  args: readonly string[],
  commands: Readonly<Record<string, CommandDefinition>>,
): Request {
  let request: Request | undefined;
  let text = "";
  const program = new Command("quattuor")
    .description("Runs declarative pipelines of typed, cached stages.")
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (part) => text += part, writeErr: () => {} });
  addFlags(program);
  for (const [name, { about, words = [], options }] of Object.entries(commands)) {
    const command = program.command(name).description(about);
    for (const [word, meaning] of words) command.argument(word, meaning);
    options?.(command);
    command.action(() => {
      const { set = [], verify = "size", ...rest } = program.opts<Partial<Flags>>();
      const flags: Flags = { set, verify, ...rest };
      request = { command: name, words: command.args, flags, own: command.opts() };
    });
  }

  try {
    program.parse(args.map(expandForce), { from: "user" });
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

function addFlags(program: Command): void {
  const collect = (text: string, before: readonly string[] = []) => [...before, text];
  program
    .option("--json", "one JSON object a line on standard output, and nothing else")
    .option("--set <name=value>", "set a param, or step.key=value; may be repeated", collect)
    .option("--force [=steps]", "make these steps again (commas between them), or all")
    .option(
      "--store <dir>",
      "keep artifacts here (default: QUATTUOR_STORE, or .quattuor in the project)",
    )
    .addOption(
      new Option("--verify <how>", "check artifacts before reuse").choices(["size", "full"])
        .default("size"),
    )
    .option(
      "--memory <size>",
      "memory that stages may use for data, such as 8GB",
      (text: string) => {
        try {
          return parseBytes(text);
        } catch (error) {
          throw new InvalidArgumentError((error as Error).message);
        }
      },
    )
    .option("--debug", "add where in the code something failed");
}

/** A bare `--force` means all steps; it must not swallow the manifest that may follow it. */
function expandForce(argument: string): string {
  return argument === "--force" ? "--force=*" : argument;
}
