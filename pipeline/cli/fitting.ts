import type { Call } from "./command.ts";
import type { PreflightOptions } from "../plan/preflight.ts";

/** What a preflight learns from the program, under the options of the command line. */
export function fitting(
  { program: { facts, bounds }, flags }: Pick<Call, "program" | "flags">,
): Pick<PreflightOptions, "facts" | "bounds"> {
  return { facts, bounds: bounds && (() => bounds(flags)) };
}
