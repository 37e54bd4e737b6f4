import { strict as assert } from "node:assert";
import { ChatTemplate } from "../../../stages/jinja/template.ts";
import { TemplateError } from "../../../stages/jinja/template_error.ts";

const FOREVER = "{% set l = range(100000) %}";

/** Templates that would take all time or memory, and what is said of them. */
const HOSTILE: readonly (readonly [template: string, message: RegExp])[] = [
  ["{% for i in range(10 ** 9) %}x{% endfor %}", /Range too big/],
  [`${FOREVER}{% for i in l %}{% for j in l %}{% endfor %}{% endfor %}`, /more than 2097152 steps/],
  [`{{ 'x' * 10 ** 12 }}`, /text of \d+ characters, expected at most 16777216/],
  [`{{ [0] * 10 ** 12 }}`, /list of \d+ entries, expected at most 1048576/],
  [
    "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    /(text|list) of \d+/,
  ],
  [
    "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    /(text|list) of \d+/,
  ],
  [
    "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s|replace('x', 'xx') %}{% endfor %}",
    /(text|list) of \d+/,
  ],
  [
    "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}",
    /text of|list of|steps/,
  ],
  ["{{ 2 ** (10 ** 9) }}", /power has more than 16384 bits/],
  [
    "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(99) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
    /steps/,
  ],
  ["{{ ' '.center(10 ** 12) }}", /(text|list) of \d+/],
  ["{{ 'x'|indent(10 ** 12, true) * 10 ** 6 }}", /(text|list) of \d+/],
  ["{{ '%9999999999d' % 1 }}", /a format is \d+ wide/],
  ["{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", /calls are nested more than 200 deep/],
  [
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    /calls are nested more than 200 deep/,
  ],
  [`{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`, /nested more than 100 deep/],
  ["{% if 1 %}".repeat(5000), /tags are nested more than 100 deep/],
  [`{{ ${"-".repeat(5000)}1 }}`, /nested more than 100 deep/],
  [`{{ ${"not ".repeat(50_000)}1 }}`, /nested more than 100 deep/],
  [`{# ${"x".repeat(2 ** 20)} #}`, /1048582 characters, expected at most 1048576/],
];

for (const [template, message] of HOSTILE) {
  Deno.test(`a template that asks for too much is refused: ${template.slice(0, 60)}`, () => {
    const start = performance.now();
    assert.throws(() => new ChatTemplate(template).render({}), (error: Error) => {
      assert.ok(error instanceof TemplateError, error.stack);
      assert.match(error.message, message);
      return true;
    });
    assert.ok(performance.now() - start < 5000);
  });
}

Deno.test("a long chat stays within the limits", () => {
  const messages = Array.from({ length: 10_000 }, (_, at) => ({
    role: at % 2 ? "assistant" : "user",
    content: "word ".repeat(50),
  }));
  const template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}\n{% endfor %}";
  assert.equal(new ChatTemplate(template).render({ messages }).length, 2_605_000);
});

Deno.test("`strftime_now()` tells the time as Python does", () => {
  const render = (format: string, date: Date) =>
    new ChatTemplate(`{{ strftime_now('${format}') }}`).render({}, () => date);
  const date = new Date(2024, 1, 9, 7, 5, 3, 42);
  // datetime(2024, 2, 9, 7, 5, 3, 42000).strftime(...) of Python 3.11.
  assert.equal(render("%d %b %Y", date), "09 Feb 2024");
  assert.equal(render("%A, %B %-d, %Y %I:%M:%S %p", date), "Friday, February 9, 2024 07:05:03 AM");
  assert.equal(
    render("%Y-%m-%dT%H:%M:%S.%f%z %j %y %a %u %w %% %e", date),
    "2024-02-09T07:05:03.042000 040 24 Fri 5 5 %  9",
  );
  assert.throws(() => render("%Q", date), /strftime_now knows no %Q/);
});
