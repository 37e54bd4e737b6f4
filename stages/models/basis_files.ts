import { openSafetensors } from "../formats/safetensors/file.ts";
import type { BasisStep, LinearChange } from "./basis.ts";
import type { ModelRecord } from "./model_record.ts";

/** What begins names of tensors that tell of linears, and of matrices. */
const [LINEARS, MATRICES] = ["linears", "turns"];
const SIDES = ["inputs", "outputs"] as const;

/** The tensors of a step. */
export function basisTensors(
  { turns, linears, matrices }: BasisStep,
): ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Stored }> {
  const numbers = new Map(Object.keys(turns).map((name, at) => [name, at]));
  const tensors = new Map<
    string,
    { readonly shape: readonly number[]; readonly values: Stored }
  >();
  const add = (path: readonly string[], values: Stored) =>
    tensors.set(path.join("/"), { shape: [values.length], values });
  for (const [name, change] of linears) {
    for (const side of SIDES) {
      const { index, factor, turns = [] } = change[side] ?? {};
      if (index) add([LINEARS!, name, side, "index"], index);
      if (factor) add([LINEARS!, name, side, "factor"], Float32Array.from(factor));
      if (turns.length === 0) continue;
      add([LINEARS!, name, side, "turns"], Uint32Array.from(turns, (name) => numbers.get(name)!));
    }
  }
  for (const [name, values] of matrices) {
    const { size } = turns[name]!;
    tensors.set(`${MATRICES}/${name}`, { shape: [size, size], values });
  }
  return tensors;
}

type Stored = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Whether a tensor of a file of channels tells of a linear's basis. */
export function isOfBasis(tensor: string): boolean {
  return tensor.includes("/");
}

/** The steps that led a model of `path` from its checkpoint, the first one first. */
export async function readBasis(
  path: string,
  { basis = [] }: Pick<ModelRecord, "basis">,
): Promise<readonly BasisStep[]> {
  return await Promise.all(basis.map(async ({ file, turns }) => {
    using opened = await openSafetensors(`${path}/${file}`);
    const names = Object.keys(turns);
    const linears = new Map<string, LinearChange>();
    const matrices = new Map<string, Float32Array<ArrayBuffer>>();
    for (const tensor of opened.tensors.keys()) {
      if (!isOfBasis(tensor)) continue;
      const values = await opened.read(tensor) as Stored;
      const [kind, name = "", side, what] = tensor.split("/");
      if (kind === MATRICES) {
        matrices.set(name, values as Float32Array<ArrayBuffer>);
        continue;
      }
      const change = linears.get(name) ?? {};
      const told = what === "turns" ? Array.from(values, (at) => names[at]!) : values;
      const own = { ...change[side as "inputs"], [what!]: told };
      linears.set(name, { ...change, [side!]: own });
    }
    return { turns, linears, matrices };
  }));
}
