// An example of what the stage `script` runs: it clips each row of the linears' weights to so many
// standard deviations, which rounding to nearest likes and rare weights do not.
// deno task run configs/script.yaml
import type { ModelEdits, ScriptContext } from "../../mod.ts";

/** What the step has to give it. */
export const inputs = ["model"];
export const output = "model";

/** Changes matrices of the layers; norms, embeddings and head stay. */
export default function clipWeights({ params, note }: ScriptContext): ModelEdits {
  const deviations = Number(params.deviations ?? 4);
  note(`clips to ${deviations} standard deviations of a row`);
  return {
    changes: (name) => name.includes(".layers.") && name.endsWith("_proj.weight"),
    change({ shape, values }) {
      const columns = shape[1]!;
      for (let start = 0; start < values.length; start += columns) {
        const row = values.subarray(start, start + columns);
        const most = deviations * Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / columns);
        for (let i = 0; i < columns; i++) row[i] = Math.max(-most, Math.min(most, row[i]!));
      }
    },
  };
}
