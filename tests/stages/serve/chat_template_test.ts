import { strict as assert } from "node:assert";
import { chatText, templateProblem } from "../../../stages/serve/chat_template.ts";
import { openServedTokenizer } from "../../../stages/serve/served_tokenizer.ts";
import tokenizer from "../../../configs/embedded/tokenizer.json" with { type: "json" };

function served(template: string, config: object = {}) {
  return openServedTokenizer({ tokenizer, config }, new Map([["chat_template.jinja", template]]));
}

const USER = [{ role: "user" as const, content: "Hi" }];

Deno.test("a template is told that there are no tools, and strips the characters it names", () => {
  // Rendered by transformers 5.24.
  const template = "{% if tools is not none %}[TOOLS]{% endif %}{% for m in messages %}" +
    "{{ m['role'] }}: {{ m['content'].rstrip('\\n') }}|{% endfor %}";
  const messages = [{ role: "user" as const, content: "indented code:   \n\n" }];
  const text = chatText(served(template), { messages, add_generation_prompt: false });
  assert.equal(text, "user: indented code:   |");
});

Deno.test("a template knows the tokens that the model has, and of others nothing", () => {
  const template = "{{ bos_token }}{{ pad_token is defined }}{{ mask_token }}";
  const config = { bos_token: "<s>", mask_token: { content: "<m>" }, pad_token: null };
  assert.equal(chatText(served(template, config), { messages: USER }), "<s>False<m>");
});

Deno.test("variables of a request reach the template, tools and documents among them", () => {
  const template = "{{ tools }}{{ documents }}{{ thinking }}{{ bos_token }}{{ messages|length }}";
  const text = chatText(served(template, { bos_token: "<s>" }), {
    messages: USER,
    chat_template_kwargs: { tools: [1], thinking: true, bos_token: "own", messages: [] },
  });
  assert.equal(text, "[1]NoneTrueown1");
});

Deno.test("what a model thought is there under each of its names", () => {
  const template = "{% for m in messages %}{{ m.reasoning_content }}/{{ m.thinking }};{% endfor %}";
  const messages = [{ ...USER[0]!, reasoning: "a" }, { ...USER[0]!, thinking: "b" }, ...USER];
  assert.equal(chatText(served(template), { messages }), "a/a;b/b;/;");
});

Deno.test("an answer goes on behind its text, also where the template strips or repeats it", () => {
  const messages = [...USER, { role: "assistant" as const, content: "Hi there " }];
  const text = (template: string) =>
    chatText(served(template), { messages, continue_final_message: true });
  assert.equal(
    text("{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}"),
    "<user>Hi<end><assistant>Hi there ",
  );
  assert.equal(
    text("{% for m in messages %}<{{ m.content.strip() }}>{% endfor %}"),
    "<Hi><Hi there",
  );
  assert.throws(() => text("{{ messages[0].content }}"), /the chat template changes its text/);
});

Deno.test("a template's own complaint is the client's to read", () => {
  const template = "{{ raise_exception('Roles must alternate!') }}";
  assert.throws(() => chatText(served(template), { messages: USER }), {
    message: "Cannot lay out the messages: the chat template says: Roles must alternate!",
  });
});

Deno.test("a template that lays out no conversation is told before the first one", () => {
  assert.equal(
    templateProblem(served("{% for m in messages %}{{ m.content }}{% endfor %}")),
    undefined,
  );
  // It wants a system message, which not every conversation has.
  const system = "{% if messages[0].role != 'system' %}{{ raise_exception('No') }}{% endif %}";
  assert.equal(templateProblem(served(system)), undefined);
  assert.match(templateProblem(served("{% if %}"))!, /lays out no conversation, it says: line 1: /);
  assert.match(templateProblem(served("{{ messages|blub }}"))!, /No filter named 'blub'\.$/);
  assert.match(
    templateProblem(served("{% for i in range(10**9) %}{% endfor %}"))!,
    /Range too big/,
  );
});
