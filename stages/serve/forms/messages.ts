import type { Context } from "hono";
import type { Usage } from "../answers.ts";
import { type ApiError, toApiError } from "../api_error.ts";
import type { ChatPart } from "../chat_parts.ts";
import type { ServeEnv } from "../request_log.ts";
import type { ServeContext } from "../request_scope.ts";
import { NO_THREADS } from "./messages_request.ts";
import { type AnswerForm, answerForm, type FormEvent } from "./answer_form.ts";

/** Answers `POST /v1/messages`. */
export async function messages(
  serving: ServeContext,
  context: Context<ServeEnv>,
): Promise<Response> {
  return await answerForm(serving, context, {
    kind: "messages",
    open: (_, model) => openMessage(model),
    failed: (error) => messageError(toApiError(error)),
  });
}

/** Anthropic's names of errors by their status. */
const ERRORS: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "overloaded_error",
};

/** An error as Anthropic's clients read it; what OpenAI's read stands beside. */
export function messageError({ status, body }: ApiError): FormEvent {
  const type = ERRORS[status] ?? "invalid_request_error";
  const { code, param } = body.error;
  const details = code === NO_THREADS && { details: { error_code: code, unsupported: [param] } };
  return { type: "error", error: { ...body.error, type, ...details } };
}

/** Content of a message as it is whole. */
type Block =
  | { readonly type: "text"; text: string }
  | { readonly type: "thinking"; thinking: string; readonly signature: string }
  | {
    readonly type: "tool_use";
    readonly id: string;
    readonly name: string;
    input: unknown;
  };

/** The arguments of a call; none of one that was cut. */
function inputOf(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return {};
  }
}

function openMessage(model: string): AnswerForm {
  const id = `msg_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`;
  const content: Block[] = [];
  let usage: Usage | undefined;
  let ended: { readonly stop_reason: string; readonly stop_sequence: string | null } | undefined;
  /** Whether the last block still grows. */
  let open = false;
  /** The arguments of the call that is written at the moment. */
  let given = "";
  const head = { id, type: "message", role: "assistant", model } as const;
  const counted = () => ({
    input_tokens: usage!.prompt_tokens - usage!.prompt_tokens_details.cached_tokens,
    output_tokens: usage!.completion_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: usage!.prompt_tokens_details.cached_tokens,
  });
  function* close(): Generator<FormEvent> {
    const last = content.at(-1);
    if (open && last?.type === "tool_use") last.input = inputOf(given);
    if (open) yield { type: "content_block_stop", index: content.length - 1 };
    open = false;
  }
  function* begin(block: Block, shown: object): Generator<FormEvent> {
    yield* close();
    content.push(block);
    open = true;
    yield { type: "content_block_start", index: content.length - 1, content_block: shown };
  }
  function* grow(
    part: Extract<ChatPart, { readonly type: "thought" | "content" }>,
  ): Generator<FormEvent> {
    const type = part.type === "thought" ? "thinking" : "text";
    if (!open || content.at(-1)!.type !== type) {
      const block: Block = type === "text"
        ? { type, text: "" }
        : { type, thinking: "", signature: "" };
      yield* begin(block, { ...block });
    }
    const last = content.at(-1)!;
    if (last.type === "text") last.text += part.text;
    if (last.type === "thinking") last.thinking += part.text;
    const delta = type === "text"
      ? { type: "text_delta", text: part.text }
      : { type: "thinking_delta", thinking: part.text };
    yield { type: "content_block_delta", index: content.length - 1, delta };
  }
  return {
    *begin(now) {
      usage = now;
      const message = { ...head, content: [], stop_reason: null, stop_sequence: null };
      yield { type: "message_start", message: { ...message, usage: counted() } };
    },
    *part(part) {
      if (part.type === "arguments") {
        given += part.text;
        const delta = { type: "input_json_delta", partial_json: part.text };
        yield { type: "content_block_delta", index: content.length - 1, delta };
      } else if (part.type === "call") {
        const id = part.id.replace(/^call_/, "toolu_");
        const block = { type: "tool_use", id, name: part.name, input: {} } as const;
        yield* begin({ ...block }, block);
        given = "";
      } else {
        yield* grow(part);
      }
    },
    *end({ reason, stop }, now) {
      usage = now;
      yield* close();
      const called = content.some(({ type }) => type === "tool_use");
      ended = {
        stop_reason: reason === "length"
          ? "max_tokens"
          : stop !== undefined
          ? "stop_sequence"
          : called
          ? "tool_use"
          : "end_turn",
        stop_sequence: stop ?? null,
      };
      yield { type: "message_delta", delta: ended, usage: counted() };
      yield { type: "message_stop" };
    },
    whole: () => ({ ...head, content, ...ended, usage: counted() }),
  };
}
