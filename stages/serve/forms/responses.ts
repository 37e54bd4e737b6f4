import type { Context } from "hono";
import type { Usage } from "../answers.ts";
import { toApiError } from "../api_error.ts";
import type { Asked } from "../asked.ts";
import type { ServeEnv } from "../request_log.ts";
import type { ServeContext } from "../request_scope.ts";
import { type AnswerForm, answerForm, type FormEvent } from "./answer_form.ts";

/** Answers `POST /v1/responses`. */
export async function responses(
  serving: ServeContext,
  context: Context<ServeEnv>,
): Promise<Response> {
  return await answerForm(serving, context, {
    kind: "responses",
    open: (asked) => openResponse(serving.card.name, asked),
    failed: (error) => {
      const { message, code, param } = toApiError(error).body.error;
      return { type: "error", code, message, param };
    },
  });
}

/** Things that an answer consists of. */
type Output = Readonly<Record<string, unknown>> & { readonly id: string };

function openResponse(model: string, { echoed }: Pick<Asked, "echoed">): AnswerForm {
  const id = newId("resp");
  const created = Math.floor(Date.now() / 1000);
  const output: Output[] = [];
  let [numbered, text, thought] = [0, "", ""];
  let finished: object = {};
  let usage: Usage | undefined;
  /** What is written at the moment. */
  let open: { readonly id: string; readonly type: "message" | "reasoning" } | undefined;
  const event = (type: string, fields: object): FormEvent => ({
    type,
    sequence_number: numbered++,
    ...fields,
  });
  const response = (status: string) => ({
    id,
    object: "response",
    created_at: created,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    model,
    output: [...output],
    previous_response_id: null,
    store: false,
    usage: usage && status !== "in_progress"
      ? {
        input_tokens: usage.prompt_tokens,
        input_tokens_details: usage.prompt_tokens_details,
        output_tokens: usage.completion_tokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: usage.total_tokens,
      }
      : null,
    ...echoed,
    ...finished,
  });
  function* begin(type: "message" | "reasoning"): Generator<FormEvent> {
    yield* close("completed");
    open = { id: newId(type === "message" ? "msg" : "rs"), type };
    [text, thought] = ["", ""];
    const place = { output_index: output.length };
    const item = type === "message"
      ? { id: open.id, type, status: "in_progress", role: "assistant", content: [] }
      : { id: open.id, type, summary: [], content: [] };
    const part = type === "message" ? textPart("") : thoughtPart("");
    yield event("response.output_item.added", { ...place, item });
    yield event("response.content_part.added", {
      ...place,
      item_id: open.id,
      content_index: 0,
      part,
    });
  }
  function* close(status: string): Generator<FormEvent> {
    if (!open) return;
    const { id, type } = open;
    open = undefined;
    const place = { item_id: id, output_index: output.length, content_index: 0 };
    if (type === "message") {
      const part = textPart(text);
      yield event("response.output_text.done", { ...place, text, logprobs: [] });
      yield event("response.content_part.done", { ...place, part });
      output.push({ id, type, status, role: "assistant", content: [part] });
    } else {
      yield event("response.reasoning_text.done", { ...place, text: thought });
      const part = thoughtPart(thought);
      yield event("response.content_part.done", { ...place, part });
      output.push({ id, type, summary: [], content: [part] });
    }
    yield event("response.output_item.done", {
      output_index: output.length - 1,
      item: output.at(-1),
    });
  }
  return {
    *begin(now) {
      usage = now;
      yield event("response.created", { response: response("in_progress") });
      yield event("response.in_progress", { response: response("in_progress") });
    },
    *part(part) {
      if ("calls" in part) {
        yield* close("completed");
        for (const { id: call, name, arguments: given } of part.calls) {
          const item = { id: newId("fc"), type: "function_call", call_id: call, name };
          const place = { output_index: output.length };
          yield event("response.output_item.added", {
            ...place,
            item: { ...item, status: "in_progress", arguments: "" },
          });
          const at = { ...place, item_id: item.id };
          yield event("response.function_call_arguments.delta", { ...at, delta: given });
          yield event("response.function_call_arguments.done", { ...at, name, arguments: given });
          output.push({ ...item, status: "completed", arguments: given });
          yield event("response.output_item.done", { ...place, item: output.at(-1) });
        }
        return;
      }
      const type = part.type === "thought" ? "reasoning" : "message";
      if (open?.type !== type) yield* begin(type);
      const place = { item_id: open!.id, output_index: output.length, content_index: 0 };
      if (part.type === "thought") {
        thought += part.text;
        yield event("response.reasoning_text.delta", { ...place, delta: part.text });
        return;
      }
      text += part.text;
      yield event("response.output_text.delta", { ...place, delta: part.text, logprobs: [] });
    },
    *end({ reason }, now) {
      usage = now;
      const cut = reason === "length";
      // An answer without anything is an empty message, which clients look for.
      if (!open && output.length === 0) yield* begin("message");
      yield* close(cut ? "incomplete" : "completed");
      if (cut) finished = { incomplete_details: { reason: "max_output_tokens" } };
      finished = { ...finished, status: cut ? "incomplete" : "completed" };
      const type = cut ? "response.incomplete" : "response.completed";
      yield event(type, { response: response("completed") });
    },
    whole: () => response("completed"),
  };
}

function textPart(text: string) {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function thoughtPart(text: string) {
  return { type: "reasoning_text", text };
}

function newId(kind: string): string {
  return `${kind}_${crypto.randomUUID().replaceAll("-", "")}`;
}
