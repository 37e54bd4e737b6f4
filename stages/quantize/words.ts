import type { LinearFacts, ModelRecord } from "../models/model_record.ts";
import type { QuantizeParams } from "./params.ts";
import type { SitePlan } from "./plan.ts";
import type { Stats } from "../calibration/stats.ts";

/** What the user should know before: groups made smaller, and too few tokens for a Gram matrix. */
export function warnings(
  plans: readonly SitePlan[],
  params: QuantizeParams,
  stats: Stats | undefined,
): string[] {
  const linears = plans.flatMap(({ method }) => method.linears);
  const words: string[] = [];
  const asked = params.weights.group;
  const smaller = linears.filter(({ scheme }) => scheme.weights.group !== asked);
  if (smaller.length > 0) {
    const groups = [...new Set(smaller.map(({ scheme }) => scheme.weights.group))];
    words.push(
      `groups of ${asked} do not divide the columns of ${smaller.length} of ${linears.length} linears, which get groups of ${
        groups.join(" or ")
      }`,
    );
  }
  const { windows, context } = params.inputs !== "original" || !stats ? params : stats.record;
  const inputs = linears.map(({ linear }) => linear.columns);
  const most = inputs.reduce((a, b) => Math.max(a, b));
  if (params.method === "gptq" && windows * context < most) {
    words.push(
      `calibration has ${
        windows * context
      } tokens for linears of up to ${most} inputs: GPTQ rests on damping there, more samples would serve it better`,
    );
  }
  return words;
}

/** What the user should know after: errors, and linears for which GPTQ was not possible. */
export function outcome(facts: ModelRecord["measured"]["linears"]): string[] {
  const all = Object.entries(facts);
  const { of, error } = meanError(facts);
  const words = [
    `${all.length} linears, mean relative squared error of their ${of} ${error.toExponential(2)}`,
  ];
  for (const [name, { fallback, tokens }] of all) {
    if (fallback && tokens === undefined) {
      words.push(`"${name}" was rounded to nearest: ${fallback}`);
    }
  }
  return [...words, ...expertWords(all)];
}

/** What quantizing the head cost. */
export function headOutcome(facts: LinearFacts | undefined): string[] {
  if (!facts) return [];
  return [`head, relative squared error of its weights ${facts.weightError.toExponential(2)}`];
}

/** What became of linears whose experts saw too few tokens: there may be thousands. */
function expertWords(all: readonly (readonly [name: string, facts: LinearFacts])[]): string[] {
  const rounded = all.filter(([, { tokens, fallback }]) => tokens !== undefined && fallback);
  const shared = all.filter(([, { statistics }]) => statistics === "layer");
  const words = (linears: typeof all, what: string) => {
    const [[name, { tokens }] = ["", {}], ...more] = linears as [typeof all[number]];
    if (linears.length === 0) return [];
    const others = more.length === 0 ? "" : ` and ${more.length} more linears of experts`;
    return [
      `"${name}"${others} ${what}: it saw ${tokens} tokens in calibration, which are too few`,
    ];
  };
  return [
    ...words(rounded, "was rounded to nearest"),
    ...words(shared, "took the statistics of all tokens of its layer"),
  ];
}

/** Mean relative squared error of linears: of their outputs where those were measured. */
export function meanError(
  facts: ModelRecord["measured"]["linears"],
): { readonly of: "outputs" | "weights"; readonly error: number } {
  const all = Object.values(facts);
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const outputs = all.flatMap(({ outputError }) => outputError ?? []);
  return outputs.length > 0
    ? { of: "outputs", error: mean(outputs) }
    : { of: "weights", error: mean(all.map(({ weightError }) => weightError)) };
}
