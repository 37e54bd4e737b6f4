import { ManifestError } from "../manifest/problem.ts";
import { messageOf } from "../errors.ts";
import type { Screen } from "../tell/terminal/screen.ts";
import type { Flags } from "./flags.ts";

/** A command line that cannot be understood; the message is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Does the work of a command; under `--json` what it throws is also told as a line, then thrown on. */
export async function tellingErrors<T>(
  { flags, screen }: { readonly flags: Flags; readonly screen: Screen },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (flags.json && !(error instanceof UsageError)) {
      const problems = error instanceof ManifestError ? error.problems : undefined;
      const time = new Date().toISOString();
      const line = { type: "error", time, message: messageOf(error), ...problems && { problems } };
      screen.write(`${JSON.stringify(line)}\n`);
    }
    throw error;
  }
}
