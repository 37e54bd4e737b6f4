import { Template } from "@huggingface/jinja";
import { ApiError, fieldError } from "./api_error.ts";
import type { ChatMessage, Conversation } from "./chat_fields.ts";
import { NAMED_TOKENS, type ServedTokenizer } from "./served_tokenizer.ts";

const parsed = new WeakMap<ServedTokenizer, Template>();

/** Lays a conversation out as the model was trained to see it; special tokens are in the text. */
export function chatText(tokenizer: ServedTokenizer, layout: Conversation): string {
  const { chatTemplate, info } = tokenizer;
  if (chatTemplate === undefined) {
    throw new ApiError(
      400,
      "Cannot chat with this model: it has no chat template; ask /v1/completions",
      { param: "messages", code: "no_chat_template" },
    );
  }
  const goOn = layout.continue_final_message ?? false;
  if (goOn && layout.add_generation_prompt) {
    throw fieldError(
      'Cannot begin an answer and go on with one: leave out "add_generation_prompt"',
      "continue_final_message",
    );
  }
  const developer = chatTemplate.includes("developer");
  const messages = layout.messages.map((message) => ({
    ...message,
    role: message.role === "developer" && !developer ? "system" : message.role,
    content: plain(message.content),
  }));
  const variables = {
    ...layout.chat_template_kwargs,
    messages,
    add_generation_prompt: goOn ? false : layout.add_generation_prompt ?? true,
    ...Object.fromEntries(NAMED_TOKENS.map((name) => [name, info[name] ?? ""])),
  };
  const text = render(tokenizer, chatTemplate, variables);
  return goOn ? cutBehind(text, messages.at(-1)!.content ?? "") : text;
}

/** Templates refuse what they do not expect, such as roles in another order, by failing. */
function render(
  tokenizer: ServedTokenizer,
  chatTemplate: string,
  variables: Record<string, unknown>,
): string {
  try {
    let template = parsed.get(tokenizer);
    if (!template) parsed.set(tokenizer, template = new Template(chatTemplate));
    return template.render(variables);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ApiError(400, `Cannot lay out the messages: the chat template says: ${reason}`, {
      param: "messages",
      code: "chat_template_failed",
      cause,
    });
  }
}

function plain(content: ChatMessage["content"]): string | null | undefined {
  return Array.isArray(content) ? content.map(({ text }) => text).join("\n") : content;
}

/** Cuts what a template puts behind the last message, so that the answer goes on with it. */
function cutBehind(text: string, content: string): string {
  const at = text.lastIndexOf(content.trim());
  if (at >= 0) return text.slice(0, at + content.trim().length);
  throw fieldError(
    "Cannot go on with the last message: the chat template changes its text",
    "continue_final_message",
  );
}
