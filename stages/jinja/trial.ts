import { ChatTemplate } from "./template.ts";
import { TemplateError } from "./template_error.ts";

const USER = { role: "user", content: "Hello" };
const SYSTEM = { role: "system", content: "Be brief." };
const ASSISTANT = { role: "assistant", content: "Hi" };

/** Conversations of which a template lays out at least one, whatever it wants of roles. */
const CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ASSISTANT, USER]];

/** Why a chat template lays out no conversation at all; undefined where it does one. */
export function chatTemplateProblem(
  source: string,
  tokens: Readonly<Record<string, string>>,
): string | undefined {
  let problem: string | undefined;
  try {
    const template = new ChatTemplate(source);
    for (const messages of CONVERSATIONS) {
      const variables = { ...tokens, messages, tools: null, documents: null };
      try {
        template.render({ ...variables, add_generation_prompt: true });
        return undefined;
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        problem ??= error.message;
      }
    }
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    problem = error.message;
  }
  return problem;
}
