import type { KeyDocument } from "../artifact.ts";
import type { StepCost } from "../event.ts";
import { canonicalJson } from "../store/key.ts";
import { allRuns, type Runs, type StepRecord } from "../store/runs.ts";

/**
 * Tells from earlier runs what making artifacts takes.
 *
 * The most alike record counts: of the same step with the same parameters, of the same step, or of
 * any step of any manifest with the same stage and parameters. Inputs and outside data may differ.
 */
export class Estimates {
  readonly #store: string;
  readonly #runs: Runs;
  /** The newest record of each stage and parameters, over all manifests. */
  #others: Promise<ReadonlyMap<string, StepRecord>> | undefined;

  constructor({ store, runs }: { readonly store: string; readonly runs: Runs }) {
    this.#store = store;
    this.#runs = runs;
  }

  /** What a step with this key document takes, or undefined where no run tells. */
  async of(step: string, document: KeyDocument): Promise<StepCost | undefined> {
    const own = [...this.#runs.records(step)]
      .filter(({ stage, cost }) => stage === document.stage && cost !== undefined);
    const work = workOf(document);
    const alike = own.find(({ recipe }) => recipe && workOf(recipe) === work) ?? own[0] ??
      (await this.#all()).get(work);
    return alike?.cost;
  }

  async #all(): Promise<ReadonlyMap<string, StepRecord>> {
    this.#others ??= allRuns(this.#store).then((runs) => {
      const newest = new Map<string, StepRecord>();
      for (const record of runs.flatMap(({ steps }) => steps)) {
        const { recipe, cost } = record;
        if (!recipe || !cost || recipe.stage !== record.stage) continue;
        const work = workOf(recipe);
        if (!newest.has(work)) newest.set(work, record);
      }
      return newest;
    });
    return await this.#others;
  }
}

/** What is alike in records that cost about the same. */
function workOf({ stage, params }: KeyDocument): string {
  return `${stage} ${canonicalJson(params)}`;
}
