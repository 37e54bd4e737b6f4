import type { Command } from "commander";
import type { Artifact } from "../artifact.ts";
import type { Describe } from "../description.ts";
import type { Bounds } from "../plan/preflight.ts";
import type { Facts, Registry } from "../stage.ts";
import type { Screen } from "../tell/terminal/screen.ts";
import type { Flags, MachineFlags } from "./flags.ts";

/** What makes a pipeline runner into a program. */
export interface Program {
  /** All stages, or what gives them to the commands that need them: many need none. */
  readonly stages: Registry | (() => Promise<Registry>);
  /** What `--version` says. */
  readonly version?: string;
  /** Words of the command line beside the runner's own. */
  readonly commands?: CommandWords;
  /** Makes what stages get as `job.tools`, for the first step that is made; disposed at the end. */
  tools(flags: MachineFlags): unknown;
  /** What headers tell of an artifact, for the forecasts of stages that read it. */
  facts?(artifact: Artifact): Promise<Facts>;
  /** What the tools would have to work with; they are not made for it. */
  bounds?(flags: MachineFlags): Bounds | Promise<Bounds>;
  /** Says what a file or directory really is, for `inspect` and `report`. */
  readonly describe?: Describe;
  /**
   * What one might do after a good run, with the manifest that it names as the next one, or itself:
   * words of the command line, and what for.
   */
  onward?(
    manifest: string,
  ): readonly { readonly about: string; readonly words: readonly string[] }[];
  /** Where to tell it; this process's output unless said. */
  readonly screen?: Screen;
}

/** The stages of a program. */
export async function stagesOf({ stages }: Pick<Program, "stages">): Promise<Registry> {
  return typeof stages === "function" ? await stages() : stages;
}

/** One use of a command. */
export interface Call {
  readonly program: Program;
  readonly screen: Screen;
  /** The whole command line. */
  readonly args: readonly string[];
  /** The options every command takes. */
  readonly flags: Flags;
  /** The words after the command's name, in order. */
  readonly words: readonly string[];
  /** The options only this command takes, as commander read them. */
  readonly own: Readonly<Record<string, unknown>>;
}

/** Words of the command line: what each is for, and how it comes to be known when it is used. */
export type CommandWords = Readonly<
  Record<string, { readonly about: string; load(): Promise<CommandDefinition> }>
>;

/** What one word of the command line does. */
export interface CommandDefinition {
  /** The words after it, as commander writes them: `<manifest>`, `[run]`. */
  readonly words?: readonly (readonly [word: string, about: string])[];
  /** Adds the options only this command takes. */
  options?(command: Command): void;
  /** Gives the exit status; what it throws is told in a sentence. */
  run(call: Call): Promise<number> | number;
}

/** Types a command. */
export function defineCommand(command: CommandDefinition): CommandDefinition {
  return command;
}
