import { ggmlType } from "./ggml_types.ts";

/** A tensor as a GGUF file lists it, its axes in the order of transformers: outermost first. */
export interface ListedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The type as ggml numbers it. */
  readonly type: number;
  /** Its first byte. */
  readonly start: number;
}

/** Bytes of a tensor; 0 where its type is none that is known. */
export function bytesOfTensor({ shape, type }: Omit<ListedTensor, "start">): number {
  const known = ggmlType(type);
  if (known === undefined) return 0;
  const elements = shape.reduce((product, size) => product * size, 1);
  return Math.ceil(elements / known.elements) * known.bytes;
}

/**
 * Checks tensors whose first bytes are counted from where tensors begin in the file.
 *
 * Throws where a name comes twice, where a tensor does not begin at a multiple of the alignment, and
 * where two tensors share bytes, as ggml's own reader does.
 */
export function checkPlaces(
  tensors: readonly ListedTensor[],
  { alignment, path }: { readonly alignment: number; readonly path: string },
): void {
  const names = new Set<string>();
  for (const { name, start } of tensors) {
    if (names.has(name)) {
      throw new TypeError(
        `Cannot read "${path}": it lists tensor "${name}" twice, expected each once`,
      );
    }
    names.add(name);
    if (start % alignment === 0) continue;
    throw new RangeError(
      `Cannot read tensor "${name}" of "${path}": it begins at byte ${start} of the tensors, ` +
        `expected a multiple of ${alignment}`,
    );
  }
  let before: (ListedTensor & { readonly end: number }) | undefined;
  for (const tensor of tensors.toSorted((a, b) => a.start - b.start)) {
    const end = tensor.start + bytesOfTensor(tensor);
    if (before !== undefined && tensor.start < before.end) {
      throw new RangeError(
        `Cannot read tensor "${tensor.name}" of "${path}": it begins at byte ${tensor.start} of the ` +
          `tensors, inside "${before.name}", expected byte ${before.end} or more`,
      );
    }
    before = { ...tensor, end };
  }
}
