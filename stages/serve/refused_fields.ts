import { fieldError } from "./api_error.ts";

/** Fields that would change what an answer means, which is not done here. */
const REFUSED: Readonly<Record<string, { readonly harmless: readonly unknown[] }>> = {
  tools: { harmless: [] },
  tool_choice: { harmless: ["none", "auto"] },
  functions: { harmless: [] },
  function_call: { harmless: ["none", "auto"] },
  echo: { harmless: [false] },
  suffix: { harmless: [""] },
  best_of: { harmless: [1] },
  use_beam_search: { harmless: [false] },
  modalities: { harmless: [["text"]] },
  audio: { harmless: [] },
  web_search_options: { harmless: [] },
  chat_template: { harmless: [] },
  prompt_embeds: { harmless: [] },
  truncate_prompt_tokens: { harmless: [] },
  allowed_token_ids: { harmless: [] },
  typical_p: { harmless: [1] },
  mirostat: { harmless: [0] },
  dry_multiplier: { harmless: [0] },
  xtc_probability: { harmless: [0] },
};

/** Fields that change nothing here, also where unknown ones are refused. */
const IGNORED: ReadonlySet<string> = new Set([
  "user",
  "store",
  "metadata",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "reasoning_effort",
  "verbosity",
  "prediction",
]);

/**
 * Refuses a request by its fields: those that change its meaning always, unknown ones if `strict`.
 *
 * Empty lists and objects, `null` and neutral values pass, since clients fill in such fields.
 */
export function checkFields(
  body: Readonly<Record<string, unknown>>,
  { known, strict }: {
    readonly known: Readonly<Record<string, unknown>>;
    readonly strict: boolean;
  },
): void {
  for (const [name, value] of Object.entries(body)) {
    if (Object.hasOwn(known, name)) continue;
    const refused = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (refused) {
      if (isEmpty(value) || refused.harmless.some((one) => isSame(one, value))) continue;
      if (name === "best_of" && value === body["n"]) continue;
      throw fieldError(
        `Cannot obey "${name}": this server does not have it, expected it left out`,
        name,
      );
    }
    if (strict && !IGNORED.has(name)) {
      throw fieldError(`Cannot read "${name}": there is no such field; leave it out`, name);
    }
  }
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined ||
    (typeof value === "object" && Object.keys(value).length === 0);
}

function isSame(left: unknown, right: unknown): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}
