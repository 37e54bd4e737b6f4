/** What zero points are stored as: less one (`gptq`), or as they are (`gptq_v2`). */
export type GptqVersion = 1 | 2;

/** Where stored zero points lie, and how. */
export interface ZeroPlace {
  readonly tensor: string;
  /** Groups of a row. */
  readonly groups: number;
  readonly version: GptqVersion;
}

/**
 * Sets the zero points of symmetric codes, which are the middle one by definition.
 *
 * Some programs say `gptq` and store them as `gptq_v2` does, so both are taken.
 */
export function setSymmetric(
  stored: Uint8Array,
  middle: number,
  { tensor, groups, version }: ZeroPlace,
): void {
  const [own, other] = version === 1 ? [middle - 1, middle] : [middle, middle - 1];
  const expected = stored.every((value) => value === other) ? other : own;
  const at = stored.findIndex((value) => value !== expected);
  if (at >= 0) {
    throw new RangeError(
      `tensor "${tensor}": output ${Math.floor(at / groups)}, group ${at % groups} is ${
        stored[at]
      }, expected ${expected} throughout, for sym is true`,
    );
  }
  stored.fill(middle);
}

/** Turns zero points less one into zero points. */
export function moveUp(
  stored: Uint8Array,
  most: number,
  { tensor, groups }: ZeroPlace,
): void {
  const at = stored.indexOf(most);
  if (at >= 0) {
    throw new RangeError(
      `tensor "${tensor}": output ${Math.floor(at / groups)}, group ${
        at % groups
      } is ${most}, expected at most ${
        most - 1
      }: a zero point less one that programs take for 0 or for ${most + 1}`,
    );
  }
  for (let i = 0; i < stored.length; i++) stored[i]! += 1;
}
