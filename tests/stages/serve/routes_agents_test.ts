/**
 * What clients of agents send, and that each gets what it hopes for: `agent_requests.json` is what
 * `tests/oracle/agent_clients.py` had Python's anthropic, openai and LangChain send; `open_webui_requests.json`
 * lays out what Open WebUI sends, by its `routers/openai.py`, `routers/tasks.py` and `utils/payload.py`.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { ROUTES } from "../../../stages/serve/routes.ts";
import { serveScripted } from "../../support/scripted_model.ts";

/** A request, and with which status it is answered. */
interface Sent {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** What an answer says and calls, whatever API it is of. */
interface Said {
  text: string;
  calls: [name: string, given: unknown][];
}

const CALL: Said = { text: "", calls: [["get_weather", { city: "Paris" }]] };
const PERSON = { name: "Anna", age: 7 };

async function read(name: string): Promise<readonly Sent[]> {
  const url = new URL(`../../testdata/${name}_requests.json`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(url));
}

/** What is hoped for. */
function hoped(body: NonNullable<Sent["body"]>): Said {
  const last = JSON.stringify(([body["messages"] ?? body["input"]].flat() as unknown[]).at(-1));
  const tools = body["tools"] as unknown[] | undefined;
  const text = body["text"] as { readonly format?: unknown } | undefined;
  const form = body["response_format"] ?? body["output_config"] ?? text?.format;
  if (/tool_result|function_call_output|"tool"/.test(last)) {
    return { text: "It is sunny in Paris.", calls: [] };
  }
  if (form) return { text: JSON.stringify(PERSON), calls: [] };
  if (JSON.stringify(tools)?.includes("Person")) return { text: "", calls: [["Person", PERSON]] };
  if (tools) return CALL;
  return { text: "Cats sleep for most of the day.", calls: [] };
}

// deno-lint-ignore no-explicit-any
type Json = any;

/** Reads an answer as clients of its API do. */
function saidOf(path: string, answer: Json): Said {
  const said: Said = { text: "", calls: [] };
  const call = (name: string, given: string) => said.calls.push([name, JSON.parse(given)]);
  if (path === "/v1/messages") {
    for (const block of answer.content) {
      if (block.type === "text") said.text += block.text;
      if (block.type === "tool_use") said.calls.push([block.name, block.input]);
    }
  } else if (path === "/v1/responses") {
    for (const item of answer.output) {
      if (item.type === "function_call") call(item.name, item.arguments);
      if (item.type === "message") said.text += item.content[0].text;
    }
  } else {
    const [{ message, finish_reason: reason }] = answer.choices;
    said.text += message.content ?? "";
    for (const { function: { name, arguments: given } } of message.tool_calls ?? []) {
      call(name, given);
    }
    strictEqual(reason, said.calls.length > 0 ? "tool_calls" : "stop");
  }
  return said;
}

/** Puts a stream together, as clients of its API do. */
function wholeOf(path: string, text: string): Json {
  const events: Json[] = text.split("\n").filter((line) => /^data: \{/.test(line))
    .map((line) => JSON.parse(line.slice("data: ".length)));
  if (path === "/v1/responses") return events.at(-1).response;
  if (path === "/v1/messages") {
    const content: Json[] = [];
    for (const { type, index, content_block: block, delta } of events) {
      if (type === "content_block_start") content[index] = { ...block, json: "" };
      if (type === "content_block_delta") {
        content[index].text += delta.text ?? "";
        content[index].json += delta.partial_json ?? "";
      }
      if (type === "content_block_stop" && content[index].type === "tool_use") {
        content[index].input = JSON.parse(content[index].json);
      }
    }
    strictEqual(events.at(-1).type, "message_stop");
    return { content };
  }
  ok(text.endsWith("data: [DONE]\n\n"));
  const message: Json = { content: "", tool_calls: [] };
  let reason;
  for (const { choices: [choice] } of events) {
    if (!choice) continue;
    message.content += choice.delta.content ?? "";
    for (const { index, function: made } of choice.delta.tool_calls ?? []) {
      message.tool_calls[index] ??= { function: { name: made.name, arguments: "" } };
      message.tool_calls[index].function.arguments += made.arguments;
    }
    reason = choice.finish_reason ?? reason;
  }
  return { choices: [{ message, finish_reason: reason }] };
}

for (const name of ["agent", "open_webui"]) {
  for (const strict of [false, true]) {
    Deno.test(`requests of ${name} get what they hope for${strict ? ", also strictly" : ""}`, async () => {
      await using served = await serveScripted({ strict });
      const sent = await read(name);
      ok(sent.length > 10);
      for (const { client, method, path, status, body } of sent) {
        const where = `${client} ${method} ${path} ${JSON.stringify(body)}`;
        const response = method === "GET" ? await served.get(path) : await served.post(path, body);
        const text = await response.text();
        strictEqual(response.status, status, `${where}: ${text}`);
        if (status !== 200) {
          const { error } = JSON.parse(text);
          strictEqual(error.type, "invalid_request_error", where);
          continue;
        }
        const { gives } = ROUTES.find((route) => route.path === path)!;
        if (!body?.["stream"]) gives!.parse(JSON.parse(text));
        if (!body || /embeddings|count_tokens/.test(path)) continue;
        const whole = body["stream"] ? wholeOf(path, text) : JSON.parse(text);
        deepStrictEqual(saidOf(path, whole), hoped(body), where);
      }
    });
  }
}

Deno.test("Anthropic's clients are told of threads in their words, and then send all messages", async () => {
  await using served = await serveScripted();
  const messages = [{ role: "user", content: "hi" }];
  const thread = { type: "continue", previous_message_id: "msg_1" };
  const response = await served.post("/v1/messages", { max_tokens: 5, messages, thread });
  const { type, error } = await response.json();
  deepStrictEqual(
    [response.status, type, error.type, error.details],
    [400, "error", "invalid_request_error", {
      error_code: "thread_unsupported_request",
      unsupported: ["thread"],
    }],
  );
});

Deno.test("a message may be held to a schema, and its tokens counted without a limit of its answer", async () => {
  await using served = await serveScripted();
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  const messages = [{ role: "user", content: "Who?" }];
  const body = { messages, system: "Be brief", tools: [] };
  const config = { output_config: { format: { type: "json_schema", schema } } };
  await (await served.post("/v1/messages", { ...body, max_tokens: 9, ...config })).body?.cancel();
  const { grammar, prompt } = served.engine.asked.at(-1)!;
  ok(grammar?.includes("name"));
  const counted = await served.post("/v1/messages/count_tokens", body);
  deepStrictEqual(await counted.json(), { input_tokens: prompt.length });
  // What is longer than the context is counted all the same: clients ask to know.
  const long = { messages: [{ role: "user", content: "cat ".repeat(9000) }] };
  const many = await (await served.post("/v1/messages/count_tokens", long)).json();
  ok(many.input_tokens > 9000, JSON.stringify(many));
  const none = await served.post("/v1/messages/count_tokens", { messages: [] });
  strictEqual((await none.json()).type, "error");
});
