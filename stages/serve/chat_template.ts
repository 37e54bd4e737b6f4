import { ChatTemplate } from "../jinja/template.ts";
import { TemplateError } from "../jinja/template_error.ts";
import { chatTemplateProblem } from "../jinja/trial.ts";
import { ApiError, fieldError } from "./api_error.ts";
import type { ChatMessage, Conversation } from "./chat_fields.ts";
import type { Tool } from "./tools/tool_fields.ts";
import { withCallValues, withToolsTold } from "./tools/tool_prompt.ts";
import { namedTokens, type ServedTokenizer } from "./served_tokenizer.ts";

const parsed = new WeakMap<ServedTokenizer, ChatTemplate>();

/** Stands behind a message that the answer goes on with, as in transformers. */
const GOES_ON = "CONTINUE_FINAL_MESSAGE_TAG ";
/** Names of what a model thought, which templates read under one or the other. */
const THOUGHTS = ["reasoning_content", "thinking", "reasoning"];

/**
 * Lays a conversation out as the model was trained to see it; special tokens are in the text.
 *
 * Functions that the model may call are told by a template that knows of `tools`, else by a message of
 * the system. What a template is told is what transformers' `apply_chat_template` tells it, but that lists of
 * text parts come as one text.
 */
export function chatText(
  tokenizer: ServedTokenizer,
  layout: Conversation,
  tools: readonly Tool[] = [],
): string {
  const { chatTemplate } = tokenizer;
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
  const knows = /\btools\b/.test(chatTemplate);
  const plainMessages = layout.messages.map((message, at) => {
    const content = plain(message.content);
    const last = goOn && at === layout.messages.length - 1;
    return {
      ...withThoughts(message),
      role: message.role === "developer" && !developer ? "system" : message.role,
      content: last ? (content ?? "") + GOES_ON : content,
    };
  });
  const calls = tools.length > 0 || layout.messages.some(({ tool_calls: made }) => made?.length);
  const messages = !knows && calls
    ? withToolsTold(plainMessages, tools)
    : plainMessages.map(withCallValues);
  const more = layout.chat_template_kwargs ?? {};
  const text = render(tokenizer, chatTemplate, {
    ...namedTokens(tokenizer.info),
    ...more,
    tools: tools.length > 0 ? tools : more.tools ?? null,
    documents: more.documents ?? null,
    messages,
    add_generation_prompt: goOn ? false : layout.add_generation_prompt ?? true,
  });
  return goOn ? cutBehind(text) : text;
}

/** Why the model's chat template lays out no conversation, where it has one that does not. */
export function templateProblem({ chatTemplate, info }: ServedTokenizer): string | undefined {
  const why = chatTemplate && chatTemplateProblem(chatTemplate, namedTokens(info));
  return why
    ? `The model cannot chat: its chat template lays out no conversation, it says: ${why}`
    : undefined;
}

function withThoughts(message: ChatMessage): Readonly<Record<string, unknown>> {
  const fields: Readonly<Record<string, unknown>> = message;
  const name = THOUGHTS.find((each) => (fields[each] ?? null) !== null);
  if (name === undefined) return fields;
  return { thinking: fields[name], ...fields, reasoning_content: fields[name] };
}

/** Templates refuse what they do not expect, such as roles in another order, by failing. */
function render(
  tokenizer: ServedTokenizer,
  chatTemplate: string,
  variables: Record<string, unknown>,
): string {
  try {
    let template = parsed.get(tokenizer);
    if (!template) parsed.set(tokenizer, template = new ChatTemplate(chatTemplate));
    return template.render(variables);
  } catch (cause) {
    if (!(cause instanceof TemplateError)) throw cause;
    throw new ApiError(
      400,
      `Cannot lay out the messages: the chat template says: ${cause.message}`,
      {
        param: "messages",
        code: "chat_template_failed",
        cause,
      },
    );
  }
}

function plain(content: ChatMessage["content"]): string | null | undefined {
  return Array.isArray(content) ? content.map(({ text }) => text).join("\n") : content;
}

/** Cuts what a template puts behind the last message, so that the answer goes on with it. */
function cutBehind(text: string): string {
  const at = text.lastIndexOf(GOES_ON.trim());
  if (at < 0) {
    throw fieldError(
      "Cannot go on with the last message: the chat template changes its text",
      "continue_final_message",
    );
  }
  const before = text.slice(0, at);
  // A template that takes white space off the message takes it off what stands before the mark.
  return text.startsWith(GOES_ON, at) ? before : before.trimEnd();
}
