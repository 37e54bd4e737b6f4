import { openThoughtStream } from "./thought_stream.ts";
import { TOOL_FORMATS, type ToolFormatName } from "./tools/tool_formats.ts";
import { openToolStream } from "./tools/tool_stream.ts";

/** What an answer in a conversation is divided by. */
export interface ChatLayout {
  /** Whether the model may think before it answers, and whether the conversation has begun that. */
  readonly thinks: boolean;
  readonly within: boolean;
  /** How it writes calls of which functions, where it may. */
  readonly tools?: { readonly format: ToolFormatName; readonly names: readonly string[] };
  /** Whether calls are told as they come. */
  readonly early?: boolean;
}

/** A part of an answer as it comes. */
export type ChatPart =
  | { readonly type: "thought" | "content"; readonly text: string }
  /** A call begins; it ends with the next part that is no piece of its arguments. */
  | { readonly type: "call"; readonly id: string; readonly name: string }
  /** A piece of the arguments of the call that began last, in JSON. */
  | { readonly type: "arguments"; readonly text: string };

/** Divides an answer into what was thought, said and called. */
export function openChatParts({ thinks, within, tools, early = false }: ChatLayout): {
  push(text: string): ChatPart[];
  end(): ChatPart[];
} {
  const thoughts = thinks ? openThoughtStream({ within }) : undefined;
  const format = tools && TOOL_FORMATS[tools.format];
  const calls = format && openToolStream(format, new Set(tools.names), { early });
  const makeId = format && "id" in format
    ? format.id
    : () => `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
  const said = (pieces: ReturnType<NonNullable<typeof calls>["push"]>): ChatPart[] =>
    pieces.map((piece) => {
      if ("name" in piece) return { type: "call", id: makeId(), name: piece.name };
      if ("given" in piece) return { type: "arguments", text: piece.given };
      return { type: "content", text: piece.text };
    });
  const content = (text: string): ChatPart[] =>
    calls ? said(calls.push(text)) : text === "" ? [] : [{ type: "content", text }];
  const divided = (pieces: ReturnType<NonNullable<typeof thoughts>["push"]>) =>
    pieces.flatMap(({ thought, text }): ChatPart[] =>
      thought ? [{ type: "thought", text }] : content(text)
    );
  return {
    push: (text) => thoughts ? divided(thoughts.push(text)) : content(text),
    end: () => [
      ...thoughts ? divided(thoughts.end()) : [],
      ...calls ? said(calls.end()) : [],
    ],
  };
}
