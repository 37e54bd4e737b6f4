import { ManifestError } from "../manifest/problem.ts";
import { messageOf } from "../errors.ts";
import type { Call } from "./command.ts";

/** A command line that cannot be understood; the message is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The work of a command; under `--json` what it throws is also told as a line, then thrown on. */
export function tellingErrors(
  work: (call: Call) => Promise<number>,
): (call: Call) => Promise<number> {
  return async (call) => {
    try {
      return await work(call);
    } catch (error) {
      if (call.flags.json && !(error instanceof UsageError)) {
        const problems = error instanceof ManifestError ? error.problems : undefined;
        const time = new Date().toISOString();
        const told = { type: "error", time, message: messageOf(error) };
        call.screen.write(`${JSON.stringify({ ...told, ...problems && { problems } })}\n`);
      }
      throw error;
    }
  };
}
