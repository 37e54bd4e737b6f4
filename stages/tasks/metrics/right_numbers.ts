/** The share of numbers of an answer that are the right one; LongBench's `count_score`. */
export function countScore(answer: string, right: string): number {
  const numbers = answer.match(/\p{Nd}+/gu) ?? [];
  return numbers.filter((number) => number === right).length / Math.max(1, numbers.length);
}

/** The same for the number of the right paragraph; LongBench's `retrieval_score`. */
export function retrievalScore(answer: string, right: string): number {
  const paragraph = /Paragraph (\p{Nd}+)/u.exec(right)?.[1];
  if (paragraph !== undefined) return countScore(answer, paragraph);
  throw new TypeError(
    `Cannot score retrieval of "${right}": it names no paragraph, expected such as Paragraph 7`,
  );
}
