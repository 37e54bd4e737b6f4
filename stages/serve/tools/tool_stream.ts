import type { ToolCall } from "./tool_call.ts";
import type { ToolFormat } from "./tool_formats.ts";

/** A piece of an answer: text that is shown, or calls. */
export type ToolPiece = { readonly text: string } | { readonly calls: readonly ToolCall[] };

/** Divides an answer into text and calls as it comes. */
export interface ToolStream {
  push(text: string): ToolPiece[];
  /** What is left once the answer has ended. */
  end(): ToolPiece[];
}

/** Opens the stream of an answer by a model's format; what turns out to be no call is text. */
export function openToolStream(
  { begins, end, read }: ToolFormat,
  names: ReadonlySet<string>,
): ToolStream {
  let held = "";
  /** The text that began the part that is read now. */
  let began: string | undefined;
  let shown = false;
  /** Whether nothing but white space has come since the last calls, or at all. */
  let blank = true;
  let called = false;
  const pieces = (text: string): ToolPiece[] => text === "" ? [] : [{ text }];
  const part = (body: string, closing: string): ToolPiece[] => {
    const calls = read(body, names);
    const mark = began!;
    began = undefined;
    blank = calls !== undefined;
    called ||= blank;
    return calls ? [{ calls }] : pieces(`${mark}${body}${closing}`);
  };
  const advance = (): ToolPiece[] => {
    if (began !== undefined) {
      // Where nothing ends a part the answer does.
      const at = end === undefined ? -1 : held.indexOf(end);
      if (at < 0) return [];
      const body = held.slice(0, at);
      held = held.slice(at + end!.length);
      return [...part(body, end!), ...advance()];
    }
    if (!shown && /^\s*([{[]|$)/.test(held) && !begins.some((mark) => held.includes(mark))) {
      // It may be calls as a whole, which shows at its end.
      return [];
    }
    const found = begins.map((mark) => ({ mark, at: held.indexOf(mark) }))
      .filter(({ at }) => at >= 0).sort((left, right) => left.at - right.at)[0];
    if (found) {
      const before = held.slice(0, found.at);
      held = held.slice(found.at + found.mark.length);
      began = found.mark;
      const text = before.trim() === "" ? [] : pieces(before);
      shown ||= text.length > 0;
      return [...text, ...advance()];
    }
    const kept = couldBegin(held, begins);
    const text = held.slice(0, held.length - kept);
    // White space before calls and between them is not shown.
    if (blank && text.trim() === "") return [];
    blank = false;
    held = held.slice(held.length - kept);
    shown ||= text.trim() !== "";
    return pieces(text);
  };
  return {
    push(text) {
      held += text;
      return advance();
    },
    end() {
      const rest = held;
      held = "";
      if (began !== undefined) return part(rest, "");
      if (called && rest.trim() === "") return [];
      const calls = shown ? undefined : read(rest, names);
      return calls ? [{ calls }] : pieces(rest);
    },
  };
}

/** Length of the longest end of a text with which a mark begins. */
function couldBegin(text: string, marks: readonly string[]): number {
  let longest = 0;
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(mark.slice(0, length))) longest = length;
    }
  }
  return longest;
}
