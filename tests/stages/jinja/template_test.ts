import { strict as assert } from "node:assert";
import { ChatTemplate } from "../../../stages/jinja/template.ts";
import { TemplateError } from "../../../stages/jinja/template_error.ts";
import golden from "../../testdata/chat_templates.json" with { type: "json" };

const VARIABLES = {
  ...golden.variables,
  messages: golden.messages,
  tools: null,
  documents: null,
  add_generation_prompt: true,
  thoughts: [],
  mytools: golden.tools,
  flag: true,
  number: 1,
  nested: { a: [{ b: "deep" }] },
  enable_thinking: false,
};

for (const { name, template, text } of golden.cases) {
  Deno.test(`a template renders as in transformers: ${name}`, () => {
    const render = () => new ChatTemplate(template).render(VARIABLES);
    if (text === undefined) assert.throws(render, TemplateError);
    else assert.equal(render(), text);
  });
}
