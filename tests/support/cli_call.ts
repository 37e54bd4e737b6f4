import { main, type Program } from "../../pipeline/cli/main.ts";

/** What a command line gave. */
export interface Called {
  readonly status: number;
  readonly out: string;
  readonly errors: string;
}

/** Runs a program's command line in this process; it has no tools unless said. */
export async function callProgram(
  program: Pick<Program, "stages"> & Partial<Program>,
  ...args: readonly string[]
): Promise<Called> {
  let [out, errors] = ["", ""];
  const status = await main(args, {
    tools: () => ({}),
    screen: {
      write: (text) => void (out += text),
      error: (text) => void (errors += text),
      columns: 0,
      color: false,
    },
    ...program,
  });
  return { status, out, errors };
}
