import { plainBytes, schemeKind, weightWords } from "../../quant/schemes.ts";
import { inputWords } from "../../models/model_record.ts";
import { type FormatOptions, modelRefusal, type Refusal, said } from "../format.ts";
import { plainHeadProblems } from "../plain_heads.ts";
import { refusedTransforms } from "../precision_refusals.ts";
import { FORM_WORDS, formOf, KERNEL_GROUP, type QserveForm } from "./form.ts";
import { refusedQserveKv } from "./kv.ts";
import { TILE } from "./layout.ts";
import type { Source, Subject } from "../subject.ts";
import { type LinearProblem, refusedLinears } from "../weight_rules.ts";

/** Architectures that the engine has a class for. */
const ARCHITECTURES = ["LlamaForCausalLM", "MistralForCausalLM"];

/** The form of a model's linears, where all that can be held have one. */
export function modelForm({ linears }: Pick<Subject, "linears">): QserveForm | undefined {
  const [first] = linears;
  return first?.scheme && formOf(first.scheme.weights);
}

/** Why QServe's engine cannot load a model or would run another one, from headers alone. */
export function* refusedQserve(
  subject: Subject,
  { dtype }: Pick<FormatOptions, "dtype">,
): Generator<Refusal> {
  if (dtype !== "float16") {
    yield modelRefusal(`dtype is ${dtype}, expected float16: the engine runs nothing else`);
  }
  yield* refusedArchitecture(subject);
  yield* refusedTransforms(subject);
  yield* refusedLinears(subject.linears, linearProblems(subject));
  yield* refusedQserveKv(subject);
}

function* refusedArchitecture(
  { name, config }: Pick<Subject, "name" | "config">,
): Generator<Refusal> {
  const refusals = said([
    !ARCHITECTURES.includes(name) &&
    `its architecture is ${name}, expected ${ARCHITECTURES.join(" or ")}`,
    ...plainHeadProblems(config),
    config.windows.some((window) => window !== undefined) &&
    "its attention sees a window of keys, expected all: the engine has no windows",
  ]);
  for (const text of refusals) yield modelRefusal(text);
}

function linearProblems(
  { linears: [first] }: Pick<Subject, "linears">,
): readonly LinearProblem[] {
  const form = first?.scheme && formOf(first.scheme.weights);
  return [
    ({ scheme }) => !scheme && "is in full precision, expected codes in all linears",
    ({ scheme }) =>
      scheme && !formOf(scheme.weights) &&
      `has weights in ${weightWords(scheme.weights)}, expected ${
        Object.values(FORM_WORDS).join(", or ")
      }`,
    ({ scheme }) =>
      scheme && schemeKind(scheme.weights) === "two_level" &&
      scheme.weights.group !== KERNEL_GROUP &&
      `has groups of ${scheme.weights.group} columns, expected ${KERNEL_GROUP}`,
    ({ scheme }) => {
      const inputs = scheme?.inputs;
      const found = inputs && plainBytes(inputs)
        ? inputs.range === "dynamic" ? undefined : "8-bit inputs under one scale"
        : inputs
        ? `inputs of ${inputWords(inputs)}`
        : "inputs in full precision";
      if (!scheme || found === undefined) return undefined;
      return `has ${found}, expected 8 bits with a scale a token; set activations: dynamic on the quantize step`;
    },
    ({ scheme }) => {
      const found = scheme && formOf(scheme.weights);
      if (!form || !found || found === form) return undefined;
      return `has ${FORM_WORDS[found]}, expected ${FORM_WORDS[form]} as in ${first!.name}`;
    },
    ({ rows, columns }) =>
      (rows % TILE !== 0 || columns % TILE !== 0) &&
      `is ${rows} by ${columns}, expected multiples of ${TILE}`,
    ({ bias, role, scheme }) => {
      const attends = ["q", "k", "v", "o"].includes(role);
      const found = scheme && formOf(scheme.weights);
      if (!bias || (attends && found !== "bytes")) return undefined;
      return `has a bias, expected none: the engine ${
        attends ? "drops it beside 8-bit weights" : "has no place for it"
      }`;
    },
  ];
}

/**
 * Why a model that headers alone allow is another one in the engine: beside 4-bit weights it loads no
 * norms, so that their gains are 1.
 */
export async function refusedGains({ subject, checkpoint }: Source): Promise<Refusal[]> {
  if (modelForm(subject) === "bytes") return [];
  const odd: { readonly name: string; readonly gain: number; readonly channel: number }[] = [];
  for (const name of normNames(subject)) {
    const gains = await checkpoint.read(name);
    const channel = gains.findIndex((gain) => gain !== 1);
    if (channel >= 0) odd.push({ name, channel, gain: gains[channel]! });
  }
  const [first] = odd;
  if (!first) return [];
  const more = odd.length === 1 ? "" : ` (and ${odd.length - 1} more norms)`;
  return [
    modelRefusal(
      `"${first.name}"${more} has gain ${first.gain} at channel ${first.channel}, expected 1: the engine loads no norms; put rotate or fold before calibrate and quantize`,
    ),
  ];
}

/** The gains of all norms of a model. */
export function normNames({ sites }: Pick<Subject, "sites">): string[] {
  return sites.flatMap(({ fedBy }) => fedBy.kind === "norm" ? [fedBy.weight] : []);
}
