import { fileURLToPath } from "node:url";
import type { RunEvent } from "../../pipeline/event.ts";
import type { Progress } from "./stage_progress.ts";

const PROGRAM = fileURLToPath(new URL("./stage_progress.ts", import.meta.url));

/** What a run told, in order. */
export type Told = RunEvent | Progress;

/** Runs a.yaml of a directory in a process of its own, which is killed as a step says that so much of it is done. */
export async function killedRun(
  directory: string,
  store: string,
  kill?: { readonly step: string; readonly done: number },
): Promise<Told[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, "run", "a.yaml", "--json", "--store", `${directory}/${store}`],
    cwd: directory,
    stdout: "piped",
  }).spawn();
  const told: Told[] = [];
  let [rest, step] = ["", ""];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const one: Told = JSON.parse(line);
      told.push(one);
      if (one.type === "start") step = one.step;
      if (one.type !== "said" || step !== kill?.step) continue;
      if (one.done >= kill.done) child.kill("SIGKILL");
    }
  }
  await child.status;
  return told;
}

/** Parts, counted from 0, that a step said it had come to. */
export function partsOf(told: readonly Told[], step: string): number[] {
  const from = told.findIndex((one) => one.type === "start" && one.step === step);
  const rest = told.slice(from + 1);
  const to = rest.findIndex((one) => one.type === "start");
  return rest.slice(0, to < 0 ? undefined : to)
    .flatMap((one) => one.type === "said" && one.done < one.total ? one.done : []);
}

/** The end of a step, if it came to it. */
export function doneOf(told: readonly Told[], step: string) {
  return told.find((one) => one.type === "done" && one.step === step) as
    | (RunEvent & { type: "done" })
    | undefined;
}
