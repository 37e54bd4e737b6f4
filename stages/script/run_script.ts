import { loadScript, type ScriptContext } from "./user_script.ts";

/** What a step tells and is told while it runs. */
type Telling = Pick<ScriptContext, "note" | "progress" | "signal">;

/** Calls a script for a step, with what the step has; `digest` is that of its files. */
export async function runScript<Result>(
  job: Telling,
  file: string,
  { output, digest, ...given }: Omit<ScriptContext, keyof Telling> & {
    readonly output: "model" | "report";
    readonly digest: string;
  },
): Promise<Result> {
  const inputs = Object.keys(given.inputs);
  const call = await loadScript<Result>(file, { output, given: inputs, digest });
  return await call({
    ...given,
    note: (text) => job.note(text),
    progress: (done, total, note) => job.progress(done, total, note),
    signal: job.signal,
  });
}
