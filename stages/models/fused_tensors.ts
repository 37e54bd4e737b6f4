import type { Checkpoint, RowRange, StoredTensor } from "../formats/checkpoint.ts";
import type { Family, FusedTensors, LayerLayout, Layout, Shapes } from "./family.ts";
import type { LayerLinear } from "./site.ts";

/** Rows of a tensor that are a tensor of their own in a layout. */
interface Slice {
  readonly source: string;
  readonly first: number;
}

/** What others store as one tensor in models of a family. */
export function fusedTensors(
  { fused = {} }: Pick<Family, "fused">,
  { layers }: Layout,
): FusedTensors {
  const linearsOf = (layer: LayerLayout) => layer.sites.flatMap(({ linears }) => linears);
  return new Map(layers.flatMap((layer) =>
    Object.entries(fused).map(([module, parts]) => {
      const linears = parts.map((part) => linearsOf(layer).find((each) => each.module === part)!);
      const [{ weight, module: first }] = linears as [LayerLinear];
      return [weight.replace(first, module), linears.map(({ weight }) => weight)] as const;
    })
  ));
}

/**
 * A checkpoint in which what a family stores as one tensor, or may so, is seen as the tensors of its
 * layout, each some rows of it; the same checkpoint where it stores none so.
 */
export function unfused(
  checkpoint: Checkpoint,
  { fused, stacks = new Map(), tensors: shapes }: {
    readonly fused: FusedTensors;
    readonly stacks?: FusedTensors;
    readonly tensors: Shapes;
  },
): Checkpoint {
  const tensors = new Map(checkpoint.tensors);
  const slices = new Map<string, Slice>();
  for (const [source, names] of [...fused, ...stacks]) {
    const stored = checkpoint.tensors.get(source);
    if (!stored) continue;
    const rows = names.reduce((sum, name) => sum + (shapes.get(name)?.[0] ?? 0), 0);
    if (stored.shape[0] !== rows) throw oddRows(checkpoint.path, stored, { names, rows });
    tensors.delete(source);
    let first = 0;
    for (const name of names) {
      const shape = [shapes.get(name)![0]!, ...stored.shape.slice(1)];
      tensors.set(name, { ...stored, name, shape });
      slices.set(name, { source, first });
      first += shape[0]!;
    }
  }
  if (slices.size === 0) return checkpoint;
  const rowsOf = (name: string, { first }: Slice, rows?: RowRange): RowRange => {
    const { start, end } = rows ?? { start: 0, end: tensors.get(name)!.shape[0]! };
    return { start: first + start, end: first + end };
  };
  const through =
    <T>(read: (name: string, rows?: RowRange) => Promise<T>) => (name: string, rows?: RowRange) => {
      const slice = slices.get(name);
      return slice ? read(slice.source, rowsOf(name, slice, rows)) : read(name, rows);
    };
  return {
    ...checkpoint,
    tensors,
    read: through((name, rows) => checkpoint.read(name, rows)),
    readRaw: through((name, rows) => checkpoint.readRaw(name, rows)),
    [Symbol.dispose]: () => checkpoint[Symbol.dispose](),
  };
}

/** Where the parts of fused tensors lie, by where whole ones do: rows follow each other. */
export function apartPlaces<
  T extends {
    readonly name: string;
    readonly shape: readonly number[];
    readonly start: number;
    readonly end: number;
  },
>(
  places: ReadonlyMap<string, T>,
  { fused, tensors: shapes }: { readonly fused: FusedTensors; readonly tensors: Shapes },
): ReadonlyMap<string, T> {
  const apart = new Map(places);
  for (const [source, names] of fused) {
    const whole = places.get(source);
    const rows = names.reduce((sum, name) => sum + (shapes.get(name)?.[0] ?? 0), 0);
    if (!whole || whole.shape[0] !== rows) continue;
    apart.delete(source);
    let { start } = whole;
    for (const name of names) {
      const shape = [shapes.get(name)![0]!, ...whole.shape.slice(1)];
      const end = start + (whole.end - whole.start) / rows * shape[0]!;
      apart.set(name, { ...whole, name, shape, start, end });
      start = end;
    }
  }
  return apart;
}

function oddRows(
  path: string,
  { name, shape }: StoredTensor,
  { names, rows }: { readonly names: readonly string[]; readonly rows: number },
): RangeError {
  return new RangeError(
    `Cannot take "${name}" of "${path}" apart: it has ${
      shape[0]
    } rows, expected ${rows}, those of ${names.join(", ")}`,
  );
}
