import { ObjectScanner } from "./object_scanner.ts";
import type { ToolCall } from "./tool_call.ts";
import type { ToolFormat } from "./tool_formats.ts";

/** A piece of an answer: text that is shown, the name of a call that begins, or of its arguments. */
export type ToolPiece =
  | { readonly text: string }
  | { readonly name: string }
  | { readonly given: string };

/** Divides an answer into text and calls as it comes. */
export interface ToolStream {
  push(text: string): ToolPiece[];
  /** What is left once the answer has ended. */
  end(): ToolPiece[];
}

/** What is read of a call whose name was told. */
interface OpenCall {
  /** The object that is read: the arguments, or what is around them. */
  scanner: ObjectScanner;
  /** Whether these are the arguments. */
  given: boolean;
  /** Whether something is around them. */
  readonly object: boolean;
}

/**
 * Opens the stream of an answer by a model's format; what turns out to be no call is text. With
 * `early` a call is told as it comes, so that one whose arguments break off, or are no JSON, stays
 * what it is; else it comes whole.
 */
export function openToolStream(
  { begins, end, starts = [], read }: ToolFormat,
  names: ReadonlySet<string>,
  { early = false }: { readonly early?: boolean } = {},
): ToolStream {
  let held = "";
  /** The text that began the part that is read now. */
  let began: string | undefined;
  let shown = false;
  /** Whether nothing but white space has come since the last calls, or at all. */
  let blank = true;
  let called = false;
  let call: OpenCall | undefined;
  /** Whether calls of this part were told already. */
  let told = false;
  const pieces = (text: string): ToolPiece[] => text === "" ? [] : [{ text }];
  const whole = (calls: readonly ToolCall[]): ToolPiece[] =>
    calls.flatMap(({ name, arguments: given }) => [{ name }, { given }]);
  /** What is left of a part, or of an answer that is one, whose calls were told: brackets mostly. */
  const rest = (text: string): ToolPiece[] => {
    told = false;
    blank = true;
    if (/^[\s\]},;]*$/.test(text)) return [];
    const more = text.replace(/^[\s,;]+/, "");
    const calls = read(more, names) ?? read(more.replace(/\]\s*$/, ""), names);
    return calls ? whole(calls) : pieces(text);
  };
  const part = (body: string, closing: string): ToolPiece[] => {
    const mark = began!;
    began = undefined;
    if (told) return rest(body);
    const calls = read(body, names);
    blank = calls !== undefined;
    called ||= blank;
    return calls ? whole(calls) : pieces(`${mark}${body}${closing}`);
  };
  /** Tells what has come of calls, from the beginning of what is held on. */
  const follow = (): ToolPiece[] => {
    const made: ToolPiece[] = [];
    for (;;) {
      if (!call) {
        const found = starts.map(({ pattern, object }) => ({ match: pattern.exec(held), object }))
          .find(({ match }) => match && names.has(match[1]!));
        if (!found) return made;
        held = held.slice(found.match![0].length);
        call = { scanner: new ObjectScanner(), given: true, object: found.object };
        told = called = blank = true;
        made.push({ name: found.match![1]! });
      }
      const { given, length } = call.scanner.take(held);
      held = held.slice(length);
      if (call.given && given !== "") made.push({ given });
      if (!call.scanner.ended) return made;
      if (call.given && call.object) {
        call.scanner = new ObjectScanner(1);
        call.given = false;
      } else call = undefined;
    }
  };
  const advance = (): ToolPiece[] => {
    if (began !== undefined) {
      const before = early ? follow() : [];
      if (call) return before;
      // Where nothing ends a part the answer does.
      const at = end === undefined ? -1 : held.indexOf(end);
      if (at < 0) return before;
      const body = held.slice(0, at);
      held = held.slice(at + end!.length);
      return [...before, ...part(body, end!), ...advance()];
    }
    const isMarked = () => begins.some((mark) => held.includes(mark));
    const couldBeCalls = told || (!shown && /^\s*([{[]|$)/.test(held));
    if (call || (couldBeCalls && !isMarked())) {
      // Without a mark it may be calls as a whole, which shows at its end where it does not before.
      const before = early ? follow() : [];
      return call || !isMarked() ? before : [...before, ...advance()];
    }
    const found = begins.map((mark) => ({ mark, at: held.indexOf(mark) }))
      .filter(({ at }) => at >= 0).sort((left, right) => left.at - right.at)[0];
    if (found) {
      const before = held.slice(0, found.at);
      held = held.slice(found.at + found.mark.length);
      began = found.mark;
      const text = told ? rest(before) : before.trim() === "" ? [] : pieces(before);
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
      const left = held;
      held = "";
      if (call) return [];
      if (began !== undefined) return part(left, "");
      if (told) return rest(left);
      if (called && left.trim() === "") return [];
      const calls = shown ? undefined : read(left, names);
      return calls ? whole(calls) : pieces(left);
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
