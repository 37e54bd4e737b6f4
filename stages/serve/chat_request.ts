import type { z } from "zod";
import { fieldError } from "./api_error.ts";
import type { Asked } from "./asked.ts";
import { chatFields } from "./chat_fields.ts";
import { chatText } from "./chat_template.ts";
import type { ChatLayout } from "./chat_parts.ts";
import { answerRequests } from "./generation.ts";
import { checkLength, ofText } from "./prompts.ts";
import { readRequest } from "./read_request.ts";
import type { ReadingRules } from "./reading_rules.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";
import { answerGrammar } from "./structured/answer_grammar.ts";
import { leftThinking, thinks, THOUGHT_MARKS } from "./thought_stream.ts";
import { type AskedTools, askedTools } from "./tools/asked_tools.ts";
import { TOOL_FORMATS, type ToolFormat } from "./tools/tool_formats.ts";
import {
  checkChoices,
  checkLogprobs,
  checkModel,
  checkScores,
  promptScoresOf,
} from "./request_limits.ts";

/** Reads the body of `POST /v1/chat/completions`. */
export function readChat(bytes: Uint8Array, rules: ReadingRules): Asked {
  return chatAsked(readRequest(bytes, { schema: chatFields, options: rules.options }), rules);
}

/** What the fields of a conversation ask for. */
export function chatAsked(body: z.output<typeof chatFields>, rules: ReadingRules): Asked {
  const { tokenizer, options, context } = rules;
  checkModel(rules, body.model);
  const logprobs = logprobsOf(body);
  checkLogprobs(rules, logprobs, "top_logprobs");
  const promptScores = promptScoresOf(rules, body);
  const each = body.n ?? 1;
  checkChoices(rules, { prompts: 1, each });
  const tools = askedTools(rules, body);
  const form = answerGrammar(rules, body);
  if (tools && form !== undefined) {
    throw fieldError(
      'Cannot call functions and hold the answer to a form: set "tool_choice" to "none", or leave one out',
      "tools",
    );
  }
  const text = chatText(tokenizer, body, tools?.tools);
  checkLength(text.length, { tokenizer, context, maxText: options.maxText, field: "messages" });
  // The template has put the first token there already.
  const { tokens: prompt } = ofText(text, tokenizer, { special: false });
  if (prompt.length === 0) {
    throw fieldError(
      "Cannot answer the messages: the chat template makes no text of them",
      "messages",
    );
  }
  const grammar = tools?.grammar ?? form;
  const wishes = {
    fields: body,
    maxTokens: {
      count: body.max_completion_tokens ?? body.max_tokens,
      field: isSaid(body.max_completion_tokens) ? "max_completion_tokens" : "max_tokens",
    },
    logprobs,
    promptLogprobs: promptScores,
    grammar,
  };
  const early = body.stream ?? false;
  const chat = { ...chatLayout(rules, { text, tools, held: grammar !== undefined }), early };
  const marks = marksOf(chat, tokenizer);
  const requests = answerRequests(rules, wishes, [prompt]).map((request) => ({
    ...request,
    marks,
  }));
  checkScores(rules, requests);
  return {
    requests,
    each,
    ...promptScores !== undefined && { promptScores },
    stream: body.stream ?? false,
    usage: body.stream_options?.include_usage ?? false,
    logprobs,
    asIds: body.return_tokens_as_token_ids ?? false,
    chat,
  };
}

function chatLayout(
  { tokenizer: { chatTemplate = "" } }: ReadingRules,
  { text, tools, held }: {
    readonly text: string;
    readonly tools: AskedTools | undefined;
    readonly held: boolean;
  },
): ChatLayout {
  return {
    thinks: !held && thinks(chatTemplate),
    within: leftThinking(text),
    ...tools && {
      tools: {
        format: tools.format,
        names: tools.tools.map(({ function: { name } }) => name),
      },
    },
  };
}

/** Tokens that are no text and yet tell parts of an answer apart. */
function marksOf({ thinks, tools }: ChatLayout, tokenizer: ServedTokenizer): number[] {
  const format: ToolFormat | undefined = tools && TOOL_FORMATS[tools.format];
  const texts = [
    ...thinks ? THOUGHT_MARKS : [],
    ...format ? [...format.begins, ...format.inner ?? [], ...format.end ? [format.end] : []] : [],
  ];
  return texts.map((text) => tokenizer.id(text))
    .filter((id) => id !== undefined && tokenizer.special(id)) as number[];
}

function isSaid(value: number | null | undefined): boolean {
  return value !== undefined && value !== null;
}

/** How many likeliest tokens are wanted with every token; undefined where no scores are. */
function logprobsOf({ logprobs, top_logprobs: top }: {
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
}): number | undefined {
  if (logprobs) return top ?? 0;
  if (!top) return undefined;
  throw fieldError(
    'Cannot give likeliest tokens: "logprobs" is not set, expected true',
    "top_logprobs",
  );
}
