// An example of what the stage `script_report` runs: how far weights stand out of their rows, which is
// what rotations and clipping are for. A normal distribution has a kurtosis of 3.
import type { ScriptContext, ScriptFigures } from "../../mod.ts";

/** What the step has to give it. */
export const inputs = ["models"];
export const output = "report";

/** The mean kurtosis of the rows of each model's down projections. */
export default async function weightKurtosis(
  { inputs: { models }, open, progress }: ScriptContext,
): Promise<ScriptFigures> {
  const figures: Record<string, number> = {};
  for (const [at, path] of (models as readonly string[]).entries()) {
    using checkpoint = await open(path);
    const names = [...checkpoint.tensors.keys()].filter((name) => /down_proj\.weight$/.test(name));
    let [sum, rows] = [0, 0];
    for (const [done, name] of names.entries()) {
      const columns = checkpoint.tensors.get(name)!.shape[1]!;
      const values = await checkpoint.read(name);
      for (let start = 0; start < values.length; start += columns) {
        const row = values.subarray(start, start + columns);
        const square = row.reduce((all, x) => all + x * x, 0) / columns;
        sum += row.reduce((all, x) => all + x ** 4, 0) / columns / square ** 2;
        rows++;
      }
      progress(done + 1, names.length, name);
    }
    figures[`kurtosis_${at + 1}`] = sum / rows;
  }
  return figures;
}
