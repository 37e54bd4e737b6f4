import type { ModelRules } from "./reading_rules.ts";

/**
 * The place of the model that a body asks for; the first where it asks for none, or for one that there is
 * not: whoever reads the body refuses that.
 */
export function modelOf(body: Uint8Array, models: readonly ModelRules[]): number {
  const { model } = fieldsOf(body);
  const found = models.findIndex(({ card, options }) =>
    card.name === model || options.names.includes(model as string)
  );
  return Math.max(0, found);
}

function fieldsOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(new TextDecoder().decode(body)) ?? {};
  } catch {
    // What is no JSON is refused where it is read.
    return {};
  }
}
