import { main } from "../../pipeline/cli/main.ts";
import type { AnyStage } from "../../pipeline/stage.ts";
import * as stages from "../../stages/mod.ts";
import { openTools } from "../../stages/tools.ts";

/** What a stage says of its progress, before anybody thins it out. */
export interface Progress {
  readonly type: "said";
  readonly done: number;
  readonly total: number;
  readonly note?: string;
}

/** The stage, with all its progress told on standard output as a JSON line each, at once. */
function watched(stage: AnyStage): AnyStage {
  return {
    ...stage,
    run(job, inputs, params) {
      const progress = (done: number, total: number, note?: string) => {
        const said: Progress = { type: "said", done, total, ...note !== undefined && { note } };
        // Synchronous: a kill at any later moment finds it told.
        Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(said)}\n`));
        job.progress(done, total, note);
      };
      return stage.run({ ...job, progress }, inputs, params);
    },
  };
}

/** The program's command line, for tests that kill it: `--json` lines and the progress between. */
if (import.meta.main) {
  const registry = Object.entries(stages).map(([name, stage]) => [name, watched(stage)] as const);
  const program = { stages: Object.fromEntries(registry), tools: openTools };
  Deno.exit(await main(Deno.args, program));
}
