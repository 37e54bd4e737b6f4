import { pythonWords } from "./python_words.ts";

/**
 * ROUGE-L of summaries as PyPI `rouge` 1.0.1 has it, which LongBench takes: for every sentence of the
 * right text and of the answer the words of one longest common subsequence; the union of all of them
 * by the distinct words of either text. 0 where one of the texts is empty.
 */
export function rougeL(answer: string, right: string): number {
  const given = sentencesOf(answer);
  const wanted = sentencesOf(right);
  if (given.length === 0 || wanted.length === 0) return 0;
  const union = new Set<string>();
  for (const reference of wanted) {
    for (const sentence of given) {
      for (const word of commonWords(reference, sentence)) union.add(word);
    }
  }
  const recall = union.size / new Set(wanted.flat()).size;
  const precision = union.size / new Set(given.flat()).size;
  return 2 * (precision * recall / (precision + recall + 1e-8));
}

/** Words of the sentences, which end at full stops; one of nothing but blanks has an empty word. */
function sentencesOf(text: string): string[][] {
  return text.split(".").filter((sentence) => sentence !== "")
    .map((sentence) => pythonWords(sentence).join(" ").split(" "));
}

/** The words of a longest common subsequence, the one found from the end. */
function commonWords(first: readonly string[], second: readonly string[]): string[] {
  const width = second.length + 1;
  const lengths = new Uint32Array((first.length + 1) * width);
  for (let i = 1; i <= first.length; i++) {
    for (let j = 1; j <= second.length; j++) {
      lengths[i * width + j] = first[i - 1] === second[j - 1]
        ? lengths[(i - 1) * width + j - 1]! + 1
        : Math.max(lengths[(i - 1) * width + j]!, lengths[i * width + j - 1]!);
    }
  }
  const words: string[] = [];
  let [i, j] = [first.length, second.length];
  while (i > 0 && j > 0) {
    if (first[i - 1] === second[j - 1]) {
      words.push(first[i - 1]!);
      i--;
      j--;
    } else if (lengths[(i - 1) * width + j]! > lengths[i * width + j - 1]!) i--;
    else j--;
  }
  return words;
}
