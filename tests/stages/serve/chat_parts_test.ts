import { deepStrictEqual } from "node:assert/strict";
import { type ChatLayout, openChatParts } from "../../../stages/serve/chat_parts.ts";

/** What an answer becomes that comes letter by letter, with parts alike joined. */
function divided(text: string, layout: ChatLayout): string[] {
  const parts = openChatParts(layout);
  const all = [...[...text].flatMap((letter) => parts.push(letter)), ...parts.end()];
  const joined: string[] = [];
  for (const part of all) {
    const [kind, said] = part.type === "call"
      ? ["calls", part.name]
      : [part.type === "arguments" ? "calls" : part.type, part.text];
    if (joined.at(-1)?.startsWith(`${kind}: `)) joined[joined.length - 1] += said;
    else joined.push(`${kind}: ${said}`);
  }
  return joined;
}

const PLAIN = { thinks: false, within: false };
const tools = { format: "hermes", names: ["f"] } as const;

Deno.test("thoughts stand apart, whether the answer or the conversation begins them", () => {
  const [begun, open] = [{ thinks: true, within: true }, { thinks: true, within: false }];
  deepStrictEqual(divided("a\nb</think>\n\nSo.", begun), ["thought: a\nb", "content: So."]);
  deepStrictEqual(divided("\n<think>a < b</think>\n\nSo.", open), [
    "thought: a < b",
    "content: So.",
  ]);
  deepStrictEqual(divided("<think></think>So.", open), ["content: So."]);
  deepStrictEqual(divided("<thin ice", open), ["content: <thin ice"]);
  deepStrictEqual(divided("So. <think>no</think>", open), ["content: So. <think>no</think>"]);
  deepStrictEqual(divided("a thought that is cut </th", begun), [
    "thought: a thought that is cut </th",
  ]);
  deepStrictEqual(divided("<think>a</think>b", PLAIN), ["content: <think>a</think>b"]);
});

Deno.test("calls stand apart, also behind thoughts and in them", () => {
  const call = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>';
  deepStrictEqual(divided(`Hm. ${call}`, { ...PLAIN, tools }), [
    "content: Hm. ",
    'calls: f{"a":1}',
  ]);
  deepStrictEqual(
    divided(`<think>${call}</think>${call}`, { thinks: true, within: false, tools }),
    [
      `thought: ${call}`,
      'calls: f{"a":1}',
    ],
  );
  deepStrictEqual(divided(call, PLAIN), [`content: ${call}`]);
});
