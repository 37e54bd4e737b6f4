import { architectureOf } from "../../stages/models/architecture.ts";
import { writeModel } from "./tiny_checkpoint.ts";

/** Writes a plain checkpoint whose values `fill` of tests/oracle/rope.py makes too. */
export async function writeFilled(
  directory: string,
  config: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { tensors: shapes } = architectureOf(config);
  const names = [...shapes.keys()].sort();
  await writeModel(directory, {
    config,
    edit(tensors) {
      tensors.clear();
      for (const [name, shape] of shapes) tensors.set(name, { dtype: "F16", shape });
    },
    fill(name, values) {
      const bias = shapes.get(name)!.length === 1 ? 1 : 0;
      let state = names.indexOf(name) + 1;
      values.forEach((_, i) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        values[i] = ((state >>> 24) - 128) / 256 + bias;
      });
    },
  });
}
