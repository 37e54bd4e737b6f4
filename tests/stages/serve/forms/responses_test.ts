import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import OpenAI from "openai";
import { CARD, type ServedFake, serveFake } from "../../../support/server_stub.ts";

const model = CARD.name;
const TOOL = {
  type: "function" as const,
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  strict: true,
};
const CALL = '[{"name": "get_weather", "arguments": {"city": "Oslo"}}]';

function clientOf({ url }: ServedFake): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
}

Deno.test("openai-node gets a response whole and as a stream of the same events", async () => {
  const template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{# </think> #}";
  await using served = await serveFake({ says: "<think>Hm.</think>Good day 🐈!", template });
  const client = clientOf(served);
  const body = { model, instructions: "Be brief", input: "hi" };
  const whole = await client.responses.create(body);
  deepStrictEqual([whole.status, whole.output_text], ["completed", "Good day 🐈!"]);
  deepStrictEqual(whole.output.map(({ type }) => type), ["reasoning", "message"]);
  const { usage } = whole;
  strictEqual(usage!.total_tokens, usage!.input_tokens + usage!.output_tokens);
  strictEqual(
    served.tokenizer.decode(served.engine.asked.at(-1)!.prompt),
    "[system]Be brief[user]hi",
  );
  const events = [];
  for await (const event of await client.responses.create({ ...body, stream: true })) {
    events.push(event);
  }
  deepStrictEqual(events.map((event) => event.sequence_number), events.map((_, at) => at));
  strictEqual(events[0]!.type, "response.created");
  const last = events.at(-1)!;
  ok(last.type === "response.completed");
  strictEqual(last.response.output_text ?? "Good day 🐈!", "Good day 🐈!");
  strictEqual(
    events.map((event) => event.type === "response.output_text.delta" ? event.delta : "").join(""),
    "Good day 🐈!",
  );
  deepStrictEqual(last.response.usage, usage);
  const final = await client.responses.stream(body).finalResponse();
  strictEqual(final.output_text, "Good day 🐈!");
});

Deno.test("a response has calls, and goes on with what came of them", async () => {
  const says = (prompt: string) => prompt.includes("Result: cold") ? "It is cold." : CALL;
  await using served = await serveFake({ says });
  const client = clientOf(served);
  const input: OpenAI.Responses.ResponseInput = [{ role: "user", content: "Oslo?" }];
  const first = await client.responses.create({ model, input, tools: [TOOL] });
  const [call] = first.output;
  ok(call?.type === "function_call");
  deepStrictEqual([call.name, call.arguments], ["get_weather", '{"city":"Oslo"}']);
  input.push(...first.output as never[]);
  input.push({ type: "function_call_output", call_id: call.call_id, output: "cold" });
  const second = await client.responses.create({ model, input, tools: [TOOL] });
  strictEqual(second.output_text, "It is cold.");
  const streamed = await client.responses.stream({ model, input: "Oslo?", tools: [TOOL] })
    .finalResponse();
  strictEqual(streamed.output[0]?.type, "function_call");
  await client.responses.create({ model, input: "x", tools: [TOOL], tool_choice: "required" });
  match(served.engine.asked.at(-1)!.grammar!, /get_weather/);
});

Deno.test("a response that is cut says so, a form is a grammar, and what is not kept is refused", async () => {
  await using served = await serveFake({ says: "one two three four five six" });
  const client = clientOf(served);
  const cut = await client.responses.create({ model, input: "a", max_output_tokens: 3 });
  deepStrictEqual(
    [cut.status, cut.incomplete_details],
    ["incomplete", { reason: "max_output_tokens" }],
  );
  const schema = { type: "object", properties: { a: { type: "null" } }, required: ["a"] };
  const text = { format: { type: "json_schema" as const, name: "n", schema } };
  await client.responses.create({ model, input: "a", text });
  match(served.engine.asked.at(-1)!.grammar!, /root ::=/);
  for (
    const [body, param] of [
      [{ previous_response_id: "resp_1" }, "previous_response_id"],
      [{ background: true }, "background"],
      [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
      [{ input: [{ type: "item_reference", id: "x" }] }, "input"],
    ] as const
  ) {
    await rejects(
      client.responses.create({ model, input: "a", ...body } as never),
      (error) => error instanceof OpenAI.BadRequestError && error.param!.startsWith(param),
    );
  }
});
