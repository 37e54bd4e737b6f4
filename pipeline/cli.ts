import { parseCommandLine, type Request, UsageError } from "./cli/command_line.ts";
import {
  planCommand,
  type Program,
  runCommand,
  schemaCommand,
  stagesCommand,
} from "./cli/commands.ts";
import { ManifestError } from "./manifest/problem.ts";
import { messageOf } from "./run/stage_error.ts";
import { processScreen, type Screen } from "./terminal/screen.ts";

export type { Program } from "./cli/commands.ts";

/** Exit status for a command line that cannot be understood. */
const USAGE_STATUS = 2;

/**
 * The command line of a pipeline program: `run`, `plan`, `stages`, `schema` and `serve`.
 *
 * Returns the exit status: 0 only when all went well, 1 when something failed, 2 for a command line
 * that cannot be understood, 130 after a stop. What goes wrong is told in a sentence, never thrown.
 */
export async function main(args: readonly string[], program: Program): Promise<number> {
  const screen = program.screen ?? processScreen();
  try {
    return await dispatch(parseCommandLine(args), { program, screen });
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

async function dispatch(
  request: Request,
  { program, screen }: { readonly program: Program; readonly screen: Screen },
): Promise<number> {
  if (request.command === "help") {
    screen.write(request.text);
    return 0;
  }
  const call = { program, screen, flags: request.flags };
  switch (request.command) {
    case "run":
      return await runCommand(request.manifest, call);
    case "plan":
      return await planCommand(request.manifest, call);
    case "stages":
      return stagesCommand(call);
    case "schema":
      return await schemaCommand(request.out, call);
    case "serve":
      screen.error("Cannot serve a model: serving comes with a later version\n");
      return 1;
  }
}
