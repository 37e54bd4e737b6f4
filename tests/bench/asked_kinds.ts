import type { Asked } from "./serve.ts";

/** Kinds of requests whose answers are as long: as it comes, held to a schema, with functions. */
export function askedKinds(): readonly { readonly name: string; readonly asked: Asked }[] {
  // Nothing of it is seen twice but what a template puts before it.
  const message = (index: number) => ({
    messages: [{ role: "user", content: `Number ${index}: tell me of the fox by the river.` }],
  });
  // Long enough that no answer ends by itself.
  const many = { type: "array", minItems: 200, items: { enum: ["red", "green", "blue"] } };
  const fields = { name: { type: "string", maxLength: 12 }, age: { type: "integer" }, tags: many };
  const schema = { type: "object", properties: fields, required: Object.keys(fields) };
  const tools = ["paint", "count_colors"].map((name) => ({
    type: "function",
    function: { name, description: "Works on colors", parameters: schema },
  }));
  const kind = (name: string, more: Readonly<Record<string, unknown>>) => ({
    name,
    asked: {
      path: "/v1/chat/completions",
      body: (index: number) => ({ ...message(index), ...more }),
    },
  });
  const format = { type: "json_schema", json_schema: { name: "fox", schema } };
  return [
    kind("a chat", {}),
    kind("held to a schema", { response_format: format }),
    kind("functions told", { tools }),
    kind("a call required", { tools, tool_choice: "required" }),
  ];
}

/** A text that repeats itself, which can be guessed, each time from another place on. */
export const REPEATING: Asked = {
  path: "/v1/completions",
  body: (index) => {
    const sentence = "Once there was a small red fox who lived near the old mill by the river. ";
    return { prompt: `${index}. ${sentence.repeat(6)}` };
  },
};
