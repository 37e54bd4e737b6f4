import { tale } from "./stories_tale.ts";

/** Who may read the stories: the training of the embedded model, a method, or the final score. */
export type Split = "train" | "calibration" | "test";

/** First seed of each split; a split never reaches the next one's. */
const FIRST_SEED: Readonly<Record<Split, number>> = {
  train: 0,
  calibration: 2 ** 30,
  test: 2 ** 31,
};

/**
 * Stories of our own making, the language of the embedded model.
 *
 * Whole stories separated by an empty line, as many as it takes to reach `bytes`; all text is
 * ASCII. The same call gives the same text on every machine, a longer text begins with the shorter
 * one, and splits share no story. Throws RangeError for a size that is not a positive whole number.
 */
export function stories(options: { readonly split: Split; readonly bytes: number }): string {
  const { split, bytes } = options;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new RangeError(
      `Cannot tell ${bytes} bytes of stories: the size is not usable, expected a whole number from 1`,
    );
  }
  const told: string[] = [];
  let seed = FIRST_SEED[split];
  for (let size = 0; size < bytes;) {
    const story = tale(seed++);
    told.push(story);
    size += story.length + 2;
  }
  return told.join("\n\n");
}
