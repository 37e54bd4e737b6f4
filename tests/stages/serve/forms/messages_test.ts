import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { CARD, serveFake } from "../../../support/server_stub.ts";

const TOOL = {
  name: "get_weather",
  description: "Tells the weather",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const ASK = { max_tokens: 100, messages: [{ role: "user", content: "hi" }] };

type Event = Readonly<Record<string, unknown>> & { readonly type: string };

/** Events of a stream, whose names are their types. */
async function eventsOf(response: Response): Promise<Event[]> {
  const parts = (await response.text()).split("\n\n").filter((part) => part.startsWith("event: "));
  return parts.map((part) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(part)!;
    const event = JSON.parse(data!);
    strictEqual(event.type, name);
    return event;
  });
}

Deno.test("a message comes whole, in Anthropic's words", async () => {
  await using served = await serveFake({ says: "Good day!" });
  const body = { ...ASK, system: [{ type: "text", text: "Be brief" }] };
  const { id, usage, ...message } = await (await served.post("/v1/messages/", body)).json();
  match(id, /^msg_/);
  deepStrictEqual(message, {
    type: "message",
    role: "assistant",
    model: CARD.name,
    content: [{ type: "text", text: "Good day!" }],
    stop_reason: "end_turn",
    stop_sequence: null,
  });
  deepStrictEqual(Object.keys(usage), [
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
  ]);
  match(served.tokenizer.decode(served.engine.asked.at(-1)!.prompt), /Be brief.*hi/s);
  const ends = async (more: object) => {
    const { stop_reason, stop_sequence } = await (await served.post("/v1/messages", {
      ...ASK,
      ...more,
    })).json();
    return [stop_reason, stop_sequence];
  };
  deepStrictEqual(await ends({ max_tokens: 1 }), ["max_tokens", null]);
  deepStrictEqual(await ends({ stop_sequences: ["day"] }), ["stop_sequence", "day"]);
});

Deno.test("a message comes as a stream of blocks, thoughts and calls among them", async () => {
  const says = '<think>Hm.</think>Wait. <tool_call>{"name": "get_weather", "arguments": ' +
    '{"city": "Rome"}}</tool_call>';
  const template = "{{ tools }}<tool_call>{{ messages }}{# </think> #}";
  await using served = await serveFake({ says, template });
  const body = { ...ASK, tools: [TOOL], stream: true };
  const events = await eventsOf(await served.post("/v1/messages", body));
  deepStrictEqual(
    events.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1]),
    [
      "message_start",
      ...Array(3).fill(["content_block_start", "content_block_delta", "content_block_stop"]).flat(),
      "message_delta",
      "message_stop",
    ],
  );
  const joined = (index: number) =>
    events.filter((event) => event.type === "content_block_delta" && event["index"] === index)
      .map(({ delta }) => Object.values(delta as object)[1]).join("");
  deepStrictEqual([0, 1, 2].map(joined), ["Hm.", "Wait. ", '{"city":"Rome"}']);
  const given = events.filter(({ delta }) => (delta as Event)?.type === "input_json_delta");
  ok(given.length > 2, "the arguments came in one piece");
  const { delta, usage } = events.at(-2)!;
  deepStrictEqual(delta, { stop_reason: "tool_use", stop_sequence: null });
  strictEqual(typeof (usage as { output_tokens: number }).output_tokens, "number");
  const whole = await (await served.post("/v1/messages", { ...body, stream: false })).json();
  deepStrictEqual(whole.content.map(({ type }: Event) => type), ["thinking", "text", "tool_use"]);
  deepStrictEqual(whole.content[2].input, { city: "Rome" });
  // Cut within its arguments, a call is told as far as it came.
  const most = served.tokenizer.encode(says.slice(0, says.indexOf("Rome"))).length;
  const cut = await eventsOf(await served.post("/v1/messages", { ...body, max_tokens: most }));
  const last = cut.findLast(({ type }) => type === "content_block_start")!;
  strictEqual((last["content_block"] as Event).type, "tool_use");
  deepStrictEqual(cut.slice(-3).map(({ type }) => type), [
    "content_block_stop",
    "message_delta",
    "message_stop",
  ]);
  strictEqual((cut.at(-2)!.delta as { stop_reason: string }).stop_reason, "max_tokens");
});

Deno.test("what came of calls goes to the template, and what must be called is a grammar", async () => {
  const template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}" +
    "{% for c in m.tool_calls %}{{ c.function.arguments.city }}{% endfor %}{% endfor %}{{ tools }}";
  await using served = await serveFake({
    says: '[{"name": "get_weather", "arguments": {"city": "Rome"}}]',
    template,
  });
  const messages = [
    { role: "user", content: "Oslo?" },
    {
      role: "assistant",
      content: [
        { type: "text", text: "Let me see." },
        { type: "tool_use", id: "t1", name: "get_weather", input: { city: "Oslo" } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "t1", content: [{ type: "text", text: "cold" }] },
        { type: "text", text: "And Rome?" },
      ],
    },
  ];
  const body = { ...ASK, messages, tools: [TOOL], tool_choice: { type: "any" } };
  const answer = await (await served.post("/v1/messages", body)).json();
  strictEqual(answer.stop_reason, "tool_use");
  const asked = served.engine.asked.at(-1)!;
  match(asked.grammar!, /get_weather/);
  match(
    served.tokenizer.decode(asked.prompt),
    /\[user\]Oslo\?\[assistant\]Let me see\.Oslo\[tool\]cold\[user\]And Rome\?/,
  );
});

Deno.test("errors have Anthropic's shape, and its clients say the key in their way", async () => {
  await using served = await serveFake({ options: { apiKey: "k" } });
  const post = async (body: object, headers: HeadersInit) => {
    const response = await served.post("/v1/messages", body, { headers });
    const { type, error } = await response.json();
    return [response.status, type, error?.type, error?.param ?? null];
  };
  const key = { "x-api-key": "k" };
  deepStrictEqual(await post(ASK, {}), [401, "error", "authentication_error", null]);
  deepStrictEqual(await post(ASK, key), [200, "message", undefined, null]);
  const { max_tokens: _, ...rest } = ASK;
  deepStrictEqual(await post(rest, key), [400, "error", "invalid_request_error", "max_tokens"]);
  deepStrictEqual(
    await post({ ...ASK, model: "claude" }, key),
    [404, "error", "not_found_error", "model"],
  );
  const image = [{ role: "user", content: [{ type: "image", source: {} }] }];
  deepStrictEqual(
    (await post({ ...ASK, messages: image }, key)).slice(0, 3),
    [400, "error", "invalid_request_error"],
  );
  await using slow = await serveFake({
    says: "a ".repeat(50),
    delay: 50,
    options: { timeout: 0.2 },
  });
  const late = await slow.post("/v1/messages", ASK);
  const { error } = await late.json();
  deepStrictEqual([late.status, error.type], [408, "timeout_error"]);
});
