import type { PlannedStep, RunEvent, Summary } from "../../../pipeline/event.ts";
import { parseManifest } from "../../../pipeline/manifest/read_manifest.ts";
import { plan } from "../../../pipeline/plan/plan.ts";
import { run, type RunOptions } from "../../../pipeline/run/runner.ts";
import type { Registry } from "../../../pipeline/stage.ts";
import { Store } from "../../../pipeline/store/store.ts";
import * as toyStages from "./stages.ts";

/** A directory with one manifest and one store, in which a test plans and runs. */
export interface Project extends AsyncDisposable {
  readonly directory: string;
  readonly path: string;
  /** Rows of the plan of a manifest's text. */
  plan(text: string, options?: ProjectOptions): Promise<readonly PlannedStep[]>;
  run(text: string, options?: ProjectOptions): Promise<Run>;
}

/** How to run a manifest, where not as usual. */
export interface ProjectOptions extends Partial<RunOptions> {
  readonly set?: readonly string[];
}

/** What a run told. */
export interface Run {
  readonly summary: Summary;
  readonly events: readonly RunEvent[];
  /** By step, how it ended. */
  readonly states: Readonly<Record<string, string>>;
}

/** Opens a project that is removed when it is disposed of; in memory where the system can. */
export async function openProject(stages: Registry = toyStages): Promise<Project> {
  const memory = await Deno.stat("/dev/shm").then(() => "/dev/shm", () => undefined);
  const directory = await Deno.makeTempDir(memory ? { dir: memory } : {});
  const path = `${directory}/manifest.yaml`;
  const read = async (text: string, set: readonly string[] = []) => {
    await Deno.writeTextFile(path, text);
    return parseManifest(text, { path, stages, set });
  };
  const usual = () => ({ store: new Store(`${directory}/store`), stages, tools: () => ({}) });
  return {
    directory,
    path,
    plan: async (text, { set, ...options } = {}) =>
      (await plan(await read(text, set), { ...usual(), ...options })).steps,
    run: async (text, { set, emit, ...options } = {}) => {
      const events: RunEvent[] = [];
      const summary = await run(await read(text, set), {
        ...usual(),
        ...options,
        emit: (event) => {
          events.push(event);
          emit?.(event);
        },
      });
      const states = Object.fromEntries(summary.steps.map(({ name, state }) => [name, state]));
      return { summary, events, states };
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
