import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { CommandDefinition } from "./commands/command.ts";
import type { Setting } from "../manifest/override.ts";
import type { Verify } from "../store/damage.ts";
import { parseBytes, parseCap } from "./bytes.ts";

/** Options that every command takes. */
export interface Flags {
  readonly json?: boolean;
  readonly store?: string;
  /** Where artifacts are shared with other machines. */
  readonly remote?: string;
  /** What `--set` and `--set-json` say, in their order. */
  readonly set: readonly Setting[];
  /** Patterns of names of steps with commas between them. */
  readonly force?: string;
  readonly verify: Verify;
  /** How large the store may be, in bytes. */
  readonly maxSize?: number;
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
  deno task run configs/qoq.yaml --from smoothed --set alpha=0.35

A manifest names steps; each makes one artifact, which is kept in the store and reused as long as
nothing it depends on changes. Ctrl-C stops a run at the next good moment; the same command goes on
from the steps and layers that are finished. Relative paths begin at the current directory.`;

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
  const set: Setting[] = [];
  addFlags(program, set);
  for (const [name, { about, words = [], options }] of Object.entries(commands)) {
    const command = program.command(name).description(about);
    for (const [word, meaning] of words) command.argument(word, meaning);
    options?.(command);
    command.action(() => {
      const { verify = "stat", ...rest } = program.opts<Partial<Flags>>();
      const flags: Flags = { ...rest, set, verify };
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

function addFlags(program: Command, set: Setting[]): void {
  program
    .option("--json", "one JSON object a line on standard output, and nothing else")
    .option(
      "--set <name=value>",
      "set a param, or step.key=value; may be repeated",
      (text: string) => set.push(text),
    )
    .option(
      "--set-json <name=json>",
      "the same for lists and mappings",
      (json: string) => set.push({ json }),
    )
    .option(
      "--force [=steps]",
      "make these steps again, or all that are selected; those behind them only if bytes change",
      (text: string, before?: string) => before === undefined ? text : `${before},${text}`,
    )
    .option(
      "--store <dir>",
      "keep artifacts here (default: QUATTUOR_STORE, or .quattuor in the project)",
    )
    .option(
      "--remote <place>",
      "share artifacts with other machines: a directory, or s3://bucket/prefix " +
        "(default: QUATTUOR_REMOTE)",
    )
    .addOption(
      new Option(
        "--verify <how>",
        "before reuse, read files that changed since they were read last, only look at sizes, or read all",
      ).choices(["stat", "size", "full"]).default("stat"),
    )
    .option(
      "--max-size <size>",
      "how large the store may be, such as 200GB, or none; what no run uses goes first " +
        "(default: QUATTUOR_MAX_SIZE, or 100 GB and half of what the disk has for it)",
      (text: string) => reading(text, parseCap),
    )
    .option(
      "--memory <size>",
      "memory that a step may take, such as 8GB (default: what is free, half of it for data)",
      (text: string) => reading(text, parseBytes),
    )
    .option("--debug", "add where in the code something failed");
}

function reading<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A bare `--force` means all steps; it must not swallow the manifest that may follow it. */
function expandForce(argument: string): string {
  return argument === "--force" ? "--force=*" : argument;
}
