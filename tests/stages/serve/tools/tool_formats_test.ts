import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { TOOL_FORMATS, toolFormatOf } from "../../../../stages/serve/tools/tool_formats.ts";
import { openToolStream, type ToolPiece } from "../../../../stages/serve/tools/tool_stream.ts";

type Name = keyof typeof TOOL_FORMATS;

/** Answers as those who made the models publish them, with the calls and the text in them. */
const PUBLISHED: readonly {
  readonly format: Name;
  readonly source: string;
  readonly answer: string;
  readonly calls: readonly (readonly [name: string, given: object])[];
  readonly text?: string;
}[] = [
  {
    format: "hermes",
    source: "NousResearch/Hermes-Function-Calling, README",
    answer: '<tool_call>\n{"arguments": {"symbol": "TSLA"}, "name": "get_stock_fundamentals"}\n' +
      "</tool_call>",
    calls: [["get_stock_fundamentals", { symbol: "TSLA" }]],
  },
  {
    format: "hermes",
    source: "qwen.readthedocs.io, Function Calling",
    answer: '<tool_call>\n{"name": "get_current_temperature", "arguments": {"location": ' +
      '"San Francisco, CA, USA"}}\n</tool_call>\n<tool_call>\n{"name": "get_temperature_date", ' +
      '"arguments": {"location": "San Francisco, CA, USA", "date": "2024-10-01"}}\n</tool_call>',
    calls: [
      ["get_current_temperature", { location: "San Francisco, CA, USA" }],
      ["get_temperature_date", { location: "San Francisco, CA, USA", date: "2024-10-01" }],
    ],
  },
  {
    format: "hermes",
    source: "the same, with words before the call",
    answer:
      'Let me look.\n<tool_call>\n{"name": "get_temperature_date", "arguments": {}}\n</tool_call>',
    calls: [["get_temperature_date", {}]],
    text: "Let me look.\n",
  },
  {
    format: "llama3",
    source: "llama.com, Llama 3.1, JSON based tool calling",
    answer: '{"type": "function", "name": "get_current_conditions", "parameters": {"location": ' +
      '"San Francisco, CA", "unit": "Fahrenheit"}}',
    calls: [["get_current_conditions", { location: "San Francisco, CA", unit: "Fahrenheit" }]],
  },
  {
    format: "llama3",
    source: "the same with the token before it, and two of them",
    answer: '<|python_tag|>{"name": "trending_songs", "parameters": {"n": "10"}}; ' +
      '{"name": "get_current_conditions", "parameters": {"location": "a } b", "unit": "C"}}',
    calls: [
      ["trending_songs", { n: "10" }],
      ["get_current_conditions", { location: "a } b", unit: "C" }],
    ],
  },
  {
    format: "mistral",
    source: "mistralai/Mistral-7B-Instruct-v0.3",
    answer: '[TOOL_CALLS] [{"name": "get_current_weather", "arguments": {"location": "Paris", ' +
      '"format": "celsius"}}]',
    calls: [["get_current_weather", { location: "Paris", format: "celsius" }]],
  },
  {
    format: "mistral",
    source: "mistral-common, tokenizer v11: a name and its arguments each",
    answer: '[TOOL_CALLS]get_current_weather[ARGS]{"location": "Paris"}[TOOL_CALLS]' +
      'trending_songs[ARGS]{"n": 3}',
    calls: [["get_current_weather", { location: "Paris" }], ["trending_songs", { n: 3 }]],
  },
  {
    format: "gemma",
    source: "ai.google.dev/gemma, function calling with Gemma 3, in Python's words",
    answer: "```tool_code\nconvert(amount=200, currency=\"USD\", new_currency='EUR')\n```",
    calls: [["convert", { amount: 200, currency: "USD", new_currency: "EUR" }]],
  },
  {
    format: "gemma",
    source: "the same printed, with lists and constants",
    answer:
      "```tool_code\nprint(convert(amount=[1, -2.5], exact=True, note=None, more={'a': 'b'}))\n```",
    calls: [["convert", { amount: [1, -2.5], exact: true, note: null, more: { a: "b" } }]],
  },
  {
    format: "gemma",
    source: "the same, in JSON",
    answer:
      '```json\n{"name": "get_product_name_by_PID", "parameters": {"PID": "807ZPKBL9V"}}\n```',
    calls: [["get_product_name_by_PID", { PID: "807ZPKBL9V" }]],
  },
  {
    format: "functiongemma",
    source: "ai.google.dev/gemma, FunctionGemma, formatting",
    answer: "<start_function_call>call:get_current_weather{location:<escape>Tokyo, Japan<escape>," +
      "days:3,exact:true,tags:[<escape>a<escape>,<escape>b<escape>]}<end_function_call>",
    calls: [[
      "get_current_weather",
      { location: "Tokyo, Japan", days: 3, exact: true, tags: ["a", "b"] },
    ]],
  },
  {
    format: "json",
    source: "what our own words ask for",
    answer:
      '[{"name": "trending_songs", "arguments": {"n": 3}}, {"name": "convert", "arguments": {}}]',
    calls: [["trending_songs", { n: 3 }], ["convert", {}]],
  },
];

const NAMES = new Set(PUBLISHED.flatMap(({ calls }) => calls.map(([name]) => name)));

/** Text and calls of an answer that comes in pieces, and how many pieces its arguments had. */
function divided(format: Name, pieces: readonly string[], { early = false } = {}) {
  const stream = openToolStream(TOOL_FORMATS[format], NAMES, { early });
  const all: ToolPiece[] = [...pieces.flatMap((piece) => stream.push(piece)), ...stream.end()];
  const calls: [name: string, given: string][] = [];
  let [text, deltas] = ["", 0];
  for (const piece of all) {
    if ("text" in piece) text += piece.text;
    else if ("name" in piece) calls.push([piece.name, ""]);
    else {
      calls.at(-1)![1] += piece.given;
      deltas++;
    }
  }
  return { text, deltas, calls };
}

function parsed({ text, calls }: ReturnType<typeof divided>) {
  return { text, calls: calls.map(([name, given]) => [name, JSON.parse(given)]) };
}

for (const { format, source, answer, calls, text = "" } of PUBLISHED) {
  Deno.test(`${format} reads calls as they are published (${source})`, () => {
    for (const early of [false, true]) {
      deepStrictEqual(parsed(divided(format, [answer], { early })), { text, calls });
      deepStrictEqual(
        parsed(divided(format, [...answer], { early })),
        { text, calls },
        "by letters",
      );
      for (let at = 1; at < answer.length; at += 7) {
        const halves = [answer.slice(0, at), answer.slice(at)];
        deepStrictEqual(parsed(divided(format, halves, { early })), { text, calls });
      }
    }
  });
}

Deno.test("what is no call, or one of a function that is not there, is text", () => {
  for (const format of Object.keys(TOOL_FORMATS) as Name[]) {
    for (
      const text of [
        "It is warm.",
        '{"a": 1}',
        '{"name": "unknown", "arguments": {}}',
        "a < b, and [x] `y` ```z",
        '<tool_call>\n{"name": "unknown"}\n</tool_call> and on',
        "```tool_code\nimport os\n```",
        "<start_function_call>call:convert{a:<escape>b}<end_function_call>",
        "[TOOL_CALLS] nothing",
        "  ",
        "<tool_call>",
      ]
    ) {
      for (const early of [false, true]) {
        const found = parsed(divided(format, [...text], { early }));
        deepStrictEqual(found, { text, calls: [] }, `${format}: ${text}`);
      }
    }
  }
});

Deno.test("arguments are told as they come, where a call has its name before them", () => {
  const given = '{"location":"a } \\" ] \\n{[","days":[1,{"b":-2.5}],"c":null}';
  const spaced = '{ "location" : "a } \\" ] \\n{[",\n "days": [1, {"b": -2.5}], "c": null }';
  const call = `{"name": "convert", "arguments": ${spaced}}`;
  const other = `{"type": "function", "name": "trending_songs", "parameters": {}, "id": "x"}`;
  const calls = [["convert", given], ["trending_songs", "{}"]];
  for (
    const [format, answer] of [
      ["hermes", `<tool_call>\n${call}\n</tool_call>\n<tool_call>${other}</tool_call>`],
      ["llama3", `<|python_tag|>${call}; ${other}`],
      ["llama3", `${call};\n${other}`],
      ["mistral", `[TOOL_CALLS] [${call}, ${other}]`],
      ["mistral", `[TOOL_CALLS]convert[ARGS]${spaced}[TOOL_CALLS]trending_songs{}`],
      ["gemma", "```json\n[" + `${call}, ${other}` + "]\n```"],
      ["json", ` [${call}, ${other}]\n`],
    ] as const
  ) {
    const early = divided(format, [...answer], { early: true });
    deepStrictEqual([early.text, early.calls], ["", calls], answer);
    ok(early.deltas > 30, `${format}: ${early.deltas} pieces`);
    // Whole they come as JSON writes them.
    deepStrictEqual(divided(format, [...answer]).deltas, 2);
  }
});

Deno.test("a call whose arguments break off is told as far as it came, and text behind one is text", () => {
  for (
    const [format, answer, name, given, text] of [
      ["hermes", '<tool_call>{"name": "convert", "arguments": {"a": "b', "convert", '{"a":"b', ""],
      ["json", '[{"name": "convert", "arguments": {"a": [1, ', "convert", '{"a":[1,', ""],
      ["mistral", '[TOOL_CALLS]convert[ARGS]{"a"', "convert", '{"a"', ""],
      [
        "hermes",
        '<tool_call>{"name": "convert", "arguments": {}}</tool_call>\nDone.',
        "convert",
        "{}",
        "Done.",
      ],
      ["llama3", '{"name": "convert", "parameters": {}} and more', "convert", "{}", " and more"],
    ] as const
  ) {
    const found = divided(format, [...answer], { early: true });
    deepStrictEqual(found.calls, [[name, given]], answer);
    strictEqual(found.text.trim(), text.trim(), answer);
  }
});

Deno.test("the format follows from what a template says", () => {
  for (
    const [template, format] of [
      ["{% if tools %}<tools></tools> within <tool_call></tool_call> tags{% endif %}", "hermes"],
      ['<|start_header_id|> {% if tools %} "parameters": dictionary {% endif %}', "llama3"],
      ["[AVAILABLE_TOOLS] [TOOL_CALLS] [/INST]", "mistral"],
      ["<start_of_turn>model", "gemma"],
      ["<start_of_turn>developer <start_function_call>call:", "functiongemma"],
      ["{{ messages[0].content }}", "json"],
    ] as const
  ) {
    strictEqual(toolFormatOf(template), format);
  }
});
