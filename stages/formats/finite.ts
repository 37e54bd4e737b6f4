/** Throws a `RangeError` that names file, tensor and place of the first NaN or infinity. */
export function assertFinite(values: Float32Array, name: string, file: string): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value - value === 0) continue;
    throw new RangeError(
      `Cannot use tensor "${name}" of "${file}": its value ${i} is ${value}, expected finite weights`,
    );
  }
}
