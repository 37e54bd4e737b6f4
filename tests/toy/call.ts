import { main, type Program } from "../../pipeline/cli.ts";
import * as toyStages from "./stages.ts";

/** What the command line told, and its status. */
export interface Called {
  readonly status: number;
  readonly out: string;
  readonly errors: string;
  readonly lines: readonly string[];
}

/** Runs the command line over the toy stages in this process. */
export async function call(args: readonly string[], program?: Partial<Program>): Promise<Called> {
  let [out, errors] = ["", ""];
  const status = await main(args, {
    stages: toyStages,
    tools: () => ({}),
    screen: {
      write: (text) => void (out += text),
      error: (text) => void (errors += text),
      columns: 0,
      color: false,
    },
    ...program,
  });
  return { status, out, errors, lines: out.trimEnd().split("\n") };
}
