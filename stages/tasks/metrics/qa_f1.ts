import { pythonWords } from "./python_words.ts";

const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** Between what Python counts to words and what it does not. */
const ARTICLE = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/**
 * F1 of the words of an answer and of the right one, each as often as it comes: without case, ASCII
 * punctuation and articles. LongBench's `qa_f1_score` (THUDM/LongBench, LongBench/metrics.py).
 */
export function qaF1(answer: string, right: string): number {
  const given = wordsOf(answer);
  const wanted = wordsOf(right);
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let same = 0;
  for (const word of given) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    same++;
  }
  if (same === 0) return 0;
  const precision = same / given.length;
  const recall = same / wanted.length;
  return 2 * precision * recall / (precision + recall);
}

function wordsOf(text: string): string[] {
  return pythonWords(text.toLowerCase().replaceAll(PUNCTUATION, "").replaceAll(ARTICLE, " "));
}
