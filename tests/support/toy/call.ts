import type { Program } from "../../../pipeline/cli/main.ts";
import { type Called, callProgram } from "../cli_call.ts";
import * as stages from "./stages.ts";

/** Runs the command line over the toy stages in this process. */
export async function call(
  args: readonly string[],
  program?: Partial<Program>,
): Promise<Called & { readonly lines: readonly string[] }> {
  const called = await callProgram({ stages, ...program }, ...args);
  return { ...called, lines: called.out.trimEnd().split("\n") };
}
