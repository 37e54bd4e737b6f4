/** A piece of an answer: what the model thought before it, or the answer itself. */
export interface ThoughtPiece {
  readonly thought: boolean;
  readonly text: string;
}

/** What stands around thoughts in answers of models that think: DeepSeek R1, Qwen 3 and others. */
export const THOUGHT_MARKS = ["<think>", "</think>"] as const;
const [BEGIN, END] = THOUGHT_MARKS;

/** Whether a model's chat template tells that it thinks. */
export function thinks(template: string): boolean {
  return template.includes(END);
}

/** Whether a conversation as it was laid out leaves the model in the middle of a thought. */
export function leftThinking(prompt: string): boolean {
  return prompt.trimEnd().endsWith(BEGIN);
}

/** Divides an answer, which begins within a thought or not, as it comes. */
export function openThoughtStream({ within }: { readonly within: boolean }): {
  push(text: string): ThoughtPiece[];
  end(): ThoughtPiece[];
} {
  let held = "";
  let state: "begin" | "thought" | "answer" = within ? "thought" : "begin";
  /** Whether white space behind a thought is left out, which belongs to neither. */
  let trims = false;
  const piece = (thought: boolean, text: string) => text === "" ? [] : [{ thought, text }];
  const advance = (): ThoughtPiece[] => {
    if (state === "begin") {
      const start = held.trimStart();
      if (BEGIN.startsWith(start)) {
        if (start !== BEGIN) return [];
      } else if (!start.startsWith(BEGIN)) {
        state = "answer";
        return advance();
      }
      held = start.slice(BEGIN.length);
      state = "thought";
    }
    if (state === "thought") {
      const at = held.indexOf(END);
      if (at >= 0) {
        const thought = held.slice(0, at);
        held = held.slice(at + END.length);
        state = "answer";
        trims = true;
        return [...piece(true, thought), ...advance()];
      }
      let kept = 0;
      for (let length = Math.min(END.length - 1, held.length); length > 0 && kept === 0; length--) {
        if (held.endsWith(END.slice(0, length))) kept = length;
      }
      const text = held.slice(0, held.length - kept);
      held = held.slice(text.length);
      return piece(true, text);
    }
    const text = trims ? held.trimStart() : held;
    held = "";
    if (text !== "") trims = false;
    return piece(false, text);
  };
  return {
    push(text) {
      held += text;
      return advance();
    },
    end() {
      const rest = held;
      held = "";
      return piece(state === "thought", rest);
    },
  };
}
