/** What only the text of a template has. */
const JINJA = /\{[{%#]/;

/** The text of a chat template that is said as such, or by the file that holds it. */
export async function chatTemplateText(said: string): Promise<string> {
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
