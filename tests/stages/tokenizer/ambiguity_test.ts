import { strict as assert } from "node:assert";
import { parse } from "oniguruma-parser/parser";
import { PRE_TOKENIZERS } from "../../../stages/formats/gguf/pre_tokenizer_list.ts";
import { ambiguityOf } from "../../../stages/tokenizer/ambiguity.ts";

/** Expressions of exponential time, as collections of denials of service have them. */
const EXPONENTIAL = [
  "(a+)+b",
  "(a*)*b",
  "(a|a)*b",
  "(a|aa)+b",
  "(a|b*)*c",
  "(?:a?b?)*c",
  "(\\s|\\s+x)*y",
  "([a-z]+\\s?)+$",
  "(a{1,3})+b",
  "(x+x+)+y",
  "(.|\\s)*z",
  "^(([a-z])+.)+[A-Z]([a-z])+$",
  "(?i:k|K)*x",
  "(\\w|_)*!",
  "([가-힣]|[나])*x",
  "(?=(a+)+b)c",
  "((ab)*)*c",
];

/** Expressions that look alike and take no such time. */
const HARMLESS = [
  "(?:ab|a)*c",
  "(\\d{3})+",
  "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+",
  "(?=(\\d{3})+(?!\\d))",
  "(a+b)+c",
  "(\\s+[a-z]+)*",
  "a{3}b{2,}",
];

Deno.test("expressions of exponential time are found", () => {
  for (const source of EXPONENTIAL) {
    assert.notEqual(ambiguityOf(parse(source)), undefined, source);
  }
});

Deno.test("expressions that repeat in one way alone are taken", () => {
  for (const source of HARMLESS) assert.equal(ambiguityOf(parse(source)), undefined, source);
  for (const { preTokenizer } of Object.values(PRE_TOKENIZERS)) {
    for (const { Regex: source } of patterns(preTokenizer)) {
      assert.equal(ambiguityOf(parse(source)), undefined, source);
    }
  }
});

Deno.test("what cannot be judged is refused", () => {
  assert.match(ambiguityOf(parse("(a)\\1"))!, /backreferences/);
  assert.match(ambiguityOf(parse("(?<n>a\\g<n>?b)"))!, /subroutines/);
  assert.match(ambiguityOf(parse("a{5000}"))!, /repeats a part 5000 times/);
});

function patterns(json: unknown): { readonly Regex: string }[] {
  if (typeof json !== "object" || json === null) return [];
  const own = (json as { readonly pattern?: { readonly Regex?: string } }).pattern;
  return [
    ...own?.Regex === undefined ? [] : [{ Regex: own.Regex }],
    ...Object.values(json).flatMap(patterns),
  ];
}
