/** The share of numbers of an answer that are the right one; LongBench's `count_score`. */
export function countScore(answer: string, right: string): number {
  const numbers = answer.match(/\p{Nd}+/gu) ?? [];
  return numbers.filter((number) => number === right).length / Math.max(1, numbers.length);
}

/** The number of the paragraph that a text names first. */
export function paragraphOf(text: string): string | undefined {
  return /Paragraph (\p{Nd}+)/u.exec(text)?.[1];
}

/** The same for the number of the right paragraph; LongBench's `retrieval_score`. */
export function retrievalScore(answer: string, right: string): number {
  const paragraph = paragraphOf(right);
  if (paragraph !== undefined) return countScore(answer, paragraph);
  throw new TypeError(
    `Cannot score retrieval of "${right}": it names no paragraph, expected such as Paragraph 7`,
  );
}
