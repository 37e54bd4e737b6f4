import type { UnmetExpectation } from "../event.ts";
import { conditionText, meets } from "../manifest/expectations.ts";
import type { Manifest } from "../manifest/manifest.ts";

/**
 * What a manifest expects and its steps' scores are not; `scoresOf` gives those of a step that was
 * made or reused.
 *
 * A step that is not there is told by itself; one that lacks the score is not as expected.
 */
export function unmetExpectations(
  { expect = [], steps }: Manifest,
  scoresOf: (step: string) => Readonly<Record<string, number>> | undefined,
): readonly UnmetExpectation[] {
  return expect.flatMap((expectation) => {
    const { step: written, score } = expectation;
    const variants = steps.filter(({ name }) => name === written || name.startsWith(`${written}[`));
    return variants.flatMap(({ name: step }) => {
      const scores = scoresOf(step);
      if (!scores) return [];
      const value = Object.hasOwn(scores, score) ? scores[score] : undefined;
      if (value !== undefined && meets(expectation, value)) return [];
      const expected = conditionText(expectation);
      return [{ step, score, ...value !== undefined && { value }, expected }];
    });
  });
}
