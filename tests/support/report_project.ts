import type { Program } from "../../pipeline/cli/main.ts";
import { stagesOf } from "../../pipeline/cli/command.ts";
import { parseManifest } from "../../pipeline/manifest/read_manifest.ts";
import { run } from "../../pipeline/run/runner.ts";
import { allRuns } from "../../pipeline/store/runs.ts";
import { Store } from "../../pipeline/store/store.ts";
import { type Called, callProgram } from "./cli_call.ts";

/** A manifest with a store of its own, to be run and reported on. */
export interface ReportProject extends AsyncDisposable {
  readonly store: Store;
  readonly manifest: string;
  /** Where pages are to be written. */
  readonly page: string;
  run(set?: readonly string[]): Promise<void>;
  call(...args: readonly string[]): Promise<Called>;
  /** Seconds the artifact of a step took, by its record. */
  secondsOf(step: string): Promise<number>;
}

/** Opens a store for a manifest of a program. */
export async function projectOf(manifest: string, program: Program): Promise<ReportProject> {
  const directory = await Deno.makeTempDir();
  const store = new Store(`${directory}/store`);
  const registry = await stagesOf(program);
  return {
    store,
    manifest,
    page: `${directory}/page.html`,
    async run(set = []) {
      const text = await Deno.readTextFile(manifest);
      await run(parseManifest(text, { path: manifest, stages: registry, set }), {
        store,
        stages: registry,
        tools: () => program.tools({}),
        emit: () => {},
      });
    },
    call: (...args) => callProgram(program, ...args, "--store", store.path),
    async secondsOf(step) {
      const [record] = await allRuns(store.path);
      const key = record?.steps.find(({ name }) => name === step)?.key ?? "";
      const path = `${store.path}/artifacts/${key}/artifact.json`;
      return JSON.parse(await Deno.readTextFile(path)).seconds;
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
