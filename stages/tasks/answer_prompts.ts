import { chatText } from "../serve/chat_template.ts";
import type { ServedTokenizer } from "../serve/served_tokenizer.ts";
import type { AnswerWish } from "./generate_answers.ts";
import type { TaskFile } from "./task_file.ts";
import type { TaskItem } from "./task_items.ts";
import { promptRoom } from "./task_lengths.ts";
import type { RequestEncoder } from "./token_requests.ts";

/**
 * The prompt of an item as ids, cut to leave room for the answer: from its left as lm-eval does, or
 * in its middle as LongBench does (LongBench/pred.py), which cuts before a chat template lays it out.
 *
 * Throws a `RangeError` where answers are as long as all the model takes.
 */
export function answerWish(
  file: TaskFile,
  { pairs: [pair] }: TaskItem,
  { tokenizer, encoder }: {
    readonly tokenizer: ServedTokenizer;
    readonly encoder: RequestEncoder;
  },
): AnswerWish {
  const { max_tokens: maxTokens, min_tokens: minTokens, until, truncate, chat } = file.generation;
  const stopTokens = file.generation.stop_tokens.flatMap((text) =>
    tokenizer.encode(text).slice(-1)
  );
  const room = promptRoom(file, encoder.maxLength);
  const most = Math.min(room, longBenchLength(encoder.maxLength));
  const text = truncate === "middle" ? shortened(pair!.context, most, tokenizer) : pair!.context;
  const laid = chat && tokenizer.chatTemplate !== undefined
    ? tokenizer.encode(chatText(tokenizer, {
      messages: [{ role: "user", content: text }],
      add_generation_prompt: true,
    }))
    : encoder.encode(text);
  const prompt = laid.slice(-room);
  const given = prompt.length > 0 ? prompt : [encoder.prefix];
  return { prompt: given, until, maxTokens, minTokens, stopTokens };
}

/** Tokens of a prompt that LongBench gives a model: 3,500 where it takes 4,096, 7,500 of 8,192. */
function longBenchLength(maxLength: number): number {
  const thousands = Math.floor(maxLength / 1024);
  return thousands === 0 ? Infinity : 1000 * thousands - 500;
}

/** A text of which the middle is left out, so that about `most` tokens are left. */
function shortened(text: string, most: number, tokenizer: ServedTokenizer): string {
  const ids = tokenizer.encode(text, { special: true });
  if (ids.length <= most) return text;
  const half = Math.floor(most / 2);
  const plain = (part: readonly number[]) =>
    tokenizer.decode(part.filter((id) => !tokenizer.special(id)));
  return plain(ids.slice(0, half)) + plain(ids.slice(-half));
}
