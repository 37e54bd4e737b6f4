import { main, type Program } from "../pipeline/cli.ts";

/** What a command line gave. */
export interface Called {
  readonly status: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a program's command line in this process. */
export async function callProgram(
  program: Omit<Program, "screen">,
  ...args: readonly string[]
): Promise<Called> {
  let [out, errors] = ["", ""];
  const status = await main(args, {
    ...program,
    screen: {
      write: (text) => void (out += text),
      error: (text) => void (errors += text),
      columns: 0,
      color: false,
    },
  });
  return { status, out, errors };
}
