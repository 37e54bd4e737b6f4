/** Environment variables whose values nobody but this process may learn. */
const SECRET_VARIABLES = [
  "QUATTUOR_API_KEY",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "HF_TOKEN",
] as const;

/** A secret shorter than this is not looked for in texts: it would be found by chance. */
const LEAST_LETTERS = 6;

/** The environment for another program: this process's own without what is secret. */
export function publicEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of SECRET_VARIABLES) delete environment[name];
  return environment;
}

/** A text with what is secret blotted out: values of the variables above, passwords in URLs. */
export function withoutSecrets(text: string): string {
  let clean = text.replaceAll(/(\w:\/\/)[^\s/@"']+@/g, "$1***@");
  for (const name of SECRET_VARIABLES) {
    const value = Deno.env.get(name)?.trim() ?? "";
    if (value.length >= LEAST_LETTERS) clean = clean.replaceAll(value, "***");
  }
  return clean;
}
