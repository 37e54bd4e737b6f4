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
  #others: Promise<readonly StepRecord[]> | undefined;

  constructor({ store, runs }: { readonly store: string; readonly runs: Runs }) {
    this.#store = store;
    this.#runs = runs;
  }

  /** What a step with this key document takes, or undefined where no run tells. */
  async of(step: string, document: KeyDocument): Promise<StepCost | undefined> {
    const own = [...this.#runs.records(step)]
      .filter(({ stage, cost }) => stage === document.stage && cost !== undefined);
    const alike = own.find((one) => isAlike(one, document)) ?? own[0] ??
      (await this.#all()).find((one) => isAlike(one, document));
    return alike?.cost;
  }

  async #all(): Promise<readonly StepRecord[]> {
    this.#others ??= allRuns(this.#store).then((runs) =>
      runs.flatMap(({ steps }) => steps.filter(({ cost }) => cost !== undefined))
    );
    return await this.#others;
  }
}

function isAlike({ stage, recipe }: StepRecord, now: KeyDocument): boolean {
  return stage === now.stage && recipe !== undefined &&
    canonicalJson(recipe.params) === canonicalJson(now.params);
}
