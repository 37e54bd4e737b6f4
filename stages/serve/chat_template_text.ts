import { chatTemplateProblem } from "../jinja/trial.ts";

/** What only the text of a template has. */
const JINJA = /\{[{%#]/;

/** Tokens by the names that templates have for them, where it is not known yet what the model's are. */
const SOME_TOKENS = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" };

/**
 * The text of a chat template that is said as such, or by the file that holds it; throws where it lays
 * out no conversation at all.
 */
export async function chatTemplateText(said: string): Promise<string> {
  const text = await jinjaOf(said);
  const problem = chatTemplateProblem(text, SOME_TOKENS);
  if (problem === undefined) return text;
  throw new TypeError(
    `Cannot lay out conversations by ${
      text === said ? "the chat template" : `"${said}"`
    }: it says: ${problem}, expected one that lays some out`,
  );
}

async function jinjaOf(said: string): Promise<string> {
  if (JINJA.test(said)) return said;
  const text = await Deno.readTextFile(said).catch((cause: Error) => {
    throw new TypeError(
      `Cannot read the chat template "${said}": ${cause.message}, expected Jinja, or a file of it`,
      { cause },
    );
  });
  if (JINJA.test(text)) return text;
  throw new TypeError(
    `Cannot lay out conversations by "${said}": nothing in it is Jinja, expected {{ }} or {% %}`,
  );
}
