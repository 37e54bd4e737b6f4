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
    open: (asked, model) => openResponse(model, asked),
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
  /** The call that is written at the moment, and its arguments so far. */
  let call: { readonly id: string; readonly call_id: string; readonly name: string } | undefined;
  let given = "";
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
  function* endCall(status: string): Generator<FormEvent> {
    if (!call) return;
    const { name } = call;
    const place = { output_index: output.length };
    const item = { ...call, type: "function_call", status, arguments: given };
    const done = { ...place, item_id: call.id, name, arguments: given };
    yield event("response.function_call_arguments.done", done);
    output.push(item);
    yield event("response.output_item.done", { ...place, item });
    call = undefined;
  }
  function* close(status: string): Generator<FormEvent> {
    yield* endCall(status);
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
      if (part.type === "call") {
        yield* close("completed");
        call = { id: newId("fc"), call_id: part.id, name: part.name };
        given = "";
        const item = { ...call, type: "function_call", status: "in_progress", arguments: "" };
        return yield event("response.output_item.added", { output_index: output.length, item });
      }
      if (part.type === "arguments") {
        given += part.text;
        const place = { output_index: output.length, item_id: call!.id };
        const delta = { ...place, delta: part.text };
        return yield event("response.function_call_arguments.delta", delta);
      }
      yield* endCall("completed");
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
      if (!open && !call && output.length === 0) yield* begin("message");
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
