import { fileURLToPath } from "node:url";

const CONFIG = fileURLToPath(new URL("../../../deno.json", import.meta.url));
const PROGRAM = fileURLToPath(new URL("program.ts", import.meta.url));

/** The command line over the toy stages, to be run in a process of its own. */
export function toyCommand(args: readonly string[], options: Deno.CommandOptions): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    ...options,
    args: ["run", "-A", `--config=${CONFIG}`, PROGRAM, ...args],
  });
}
