import { DTYPES } from "../../formats/half.ts";
import { ggufName } from "../../formats/gguf/names.ts";
import type { CodeType } from "../../formats/gguf/ggml_codes.ts";
import type { GgufSpecification } from "../../formats/gguf/writer.ts";
import { groupColumns, plainScheme, type WeightScheme, weightWords } from "../../quant/schemes.ts";
import { type FormatOptions, modelRefusal, type Refusal } from "../format.ts";
import { refusedPrecision } from "../precision_refusals.ts";
import { GGUF_CLASSES } from "../../models/open_checkpoint.ts";
import type { StoredLinear } from "../../models/linear.ts";
import type { FusedTensors } from "../../models/family.ts";
import { moduleOf, routersOf } from "../../models/site.ts";
import { codedByWeight, type CodedLinear, type Subject } from "../subject.ts";
import { isFull, refusedRope, ropeTensors } from "./rope.ts";

/** Values that share a scale in every type of ggml that codes can be put into. */
const BLOCK = 32;

/** Options that decide types. */
type Options = Pick<FormatOptions, "dtype" | "type">;

/** Where rows of a tensor come from. */
export interface GgufSource {
  /** The tensor of a model. */
  readonly from: string;
  readonly rows: number;
  /** The linear, where its codes are what is written. */
  readonly linear: CodedLinear | undefined;
}

/** A tensor of a GGUF file and what its rows are, one below the other; nothing for rotary divisors. */
export interface GgufTensorPlan extends GgufSpecification {
  readonly sources: readonly GgufSource[];
}

/** The tensors of a GGUF file: linears by their codes, vectors in single precision. */
export function planTensors(subject: Subject, options: Options): GgufTensorPlan[] {
  const { parts = {} } = subject.family.gguf ?? {};
  const linears = new Map(subject.linears.map((linear) => [linear.weight, linear]));
  const coded = codedByWeight(subject);
  const routers = new Set(routersOf(subject.sites).map(({ weight }) => weight));
  const typed = [...subject.tensors].map(([from, shape]): readonly [string, GgufTensorPlan] => {
    const linear = linears.get(from);
    const type = shape.length === 1 || routers.has(from)
      ? "F32"
      : linear
      ? linearType(linear, options)
      : from === subject.codedHead?.weight
      ? headType(options)
      : DTYPES[options.dtype];
    const source = { from, rows: shape[0]!, linear: coded.get(from) };
    const { rows } = subject.joined?.get(from) ?? {};
    const stored = rows === undefined ? shape : [rows, shape[0]! / rows];
    return [from, { name: from, shape: stored, type, sources: [source] }];
  });
  const plans = stackedPlans(fusedPlans(new Map(typed), subject), subject)
    .map((plan) => ({ ...plan, name: ggufName(plan.name, { parts })! }));
  const own = [...ropeTensors(subject.config.ropes[0]!)].map(([name, { length }]) => (
    { name, shape: [length], type: "F32", sources: [] }
  ));
  return [...plans, ...own];
}

/** The plans with those in one that are one tensor there, by their names in transformers. */
function fusedPlans(
  plans: Map<string, GgufTensorPlan>,
  { fused }: Pick<Subject, "fused">,
): readonly GgufTensorPlan[] {
  for (const [name, parts] of fused) {
    const all = parts.map((part) => plans.get(part)!);
    const sources = all.flatMap((plan) => plan.sources);
    const rows = sources.reduce((sum, source) => sum + source.rows, 0);
    for (const part of parts) plans.delete(part);
    plans.set(name, { name, shape: [rows, all[0]!.shape[1]!], type: all[0]!.type, sources });
  }
  return [...plans.values()];
}

/** The plans with the matrices of all experts in one, of three axes. */
function stackedPlans(
  plans: readonly GgufTensorPlan[],
  subject: Subject,
): readonly GgufTensorPlan[] {
  const byName = new Map(plans.map((plan) => [plan.name, plan]));
  for (const [name, parts] of stacksOf(subject)) {
    const all = parts.map((part) => byName.get(part)!);
    const [{ shape, type }] = all as [GgufTensorPlan];
    for (const part of parts) byName.delete(part);
    const sources = all.flatMap((plan) => plan.sources);
    byName.set(name, { name, shape: [parts.length, ...shape], type, sources });
  }
  return [...byName.values()];
}

/** The stacks of experts that llama.cpp has a name for. */
function stacksOf({ stacks = new Map(), family }: Subject): FusedTensors {
  const { parts = {} } = family.gguf ?? {};
  return new Map([...stacks].filter(([name]) => ggufName(name, { parts }) !== undefined));
}

/** The type of a linear's weight: what was asked for, else what holds its codes exactly. */
function linearType({ scheme, columns }: StoredLinear, { dtype, type }: Options): string {
  if (scheme) return type ?? typesOf(scheme.weights)[0] ?? "F16";
  // Rows that are no whole blocks stay as they are.
  return type && (type === "F16" || columns % BLOCK === 0) ? type : DTYPES[dtype];
}

/** The type of a head in codes, which a type asked for narrower weights does not change. */
function headType({ type }: Options): string {
  return type === "F16" ? type : "Q8_0";
}

/**
 * The types whose blocks hold codes of a scheme, the smallest exact one first.
 *
 * Zeros before the scale become differences in `Q8_0`; `Q4_1`, where asked for, rounds zero times
 * scale to half precision.
 */
export function typesOf(scheme: WeightScheme): readonly CodeType[] {
  const { bits, zero } = plainScheme(scheme);
  if (bits === 8) return zero === "none" ? ["Q8_0"] : [];
  if (zero === "none") return ["Q4_0", "Q8_0"];
  return zero === "post_scale" ? ["Q4_1"] : ["Q8_0", "Q4_1"];
}

/** Every reason why a GGUF file for llama.cpp cannot hold a model. */
export function* ggufRefusals(subject: Subject, { type }: Options): Generator<Refusal> {
  const { name, family: { gguf: known }, config } = subject;
  if (known === undefined) {
    yield modelRefusal(
      `how llama.cpp holds a ${name} is not known here, expected one of ${
        [...new Set(GGUF_CLASSES.map((each) => each.name))].join(", ")
      }`,
    );
  }
  if (known?.ownHeadSize === false && config.heads * config.headSize !== config.hidden) {
    yield modelRefusal(
      `its ${config.heads} heads of ${config.headSize} do not make up the ${config.hidden} channels, expected them to in a ${known.architecture} of llama.cpp`,
    );
  }
  for (const text of known?.differences?.(config) ?? []) yield modelRefusal(text);
  yield* refusedWindows(subject);
  yield* refusedExperts(subject);
  yield* refusedRope(subject);
  yield* refusedFused(subject);
  yield* refusedPrecision(subject, "GGUF weights");
  for (const { name, weight, scheme, columns } of codedByWeight(subject).values()) {
    if (type === "F16") continue;
    const { weights } = scheme;
    const words = weightWords(weights);
    const isHead = weight === subject.codedHead?.weight;
    const types = isHead ? typesOf(weights).filter((each) => each === "Q8_0") : typesOf(weights);
    const group = groupColumns(plainScheme(weights), columns);
    if (types.length === 0) {
      yield modelRefusal(`${name} has ${words}, expected at most 4 bits or none for zero`);
    } else if (group % BLOCK !== 0) {
      yield modelRefusal(
        `${name} has ${words}: ${group} inputs share a scale, expected a multiple of ${BLOCK}`,
      );
    } else if (type && !isHead && !types.includes(type)) {
      yield modelRefusal(
        `${name} has ${words}, which ${type} does not hold, expected type ${types.join(" or ")}`,
      );
    }
  }
}

/** Why llama.cpp would let layers attend to other keys than the model does. */
function* refusedWindows({ family: { gguf: known }, config }: Subject): Generator<Refusal> {
  const { architecture, windows } = known ?? {};
  if (!windows) return;
  const { period } = windows;
  const window = config.windows.find((each) => each !== undefined);
  const odd = config.windows.findIndex((each, layer) =>
    each !== (isFull(layer, windows) ? undefined : window)
  );
  if (odd < 0) return;
  yield modelRefusal(
    `layer ${odd} attends to ${config.windows[odd] ?? "all"} keys, expected ${
      isFull(odd, windows) ? "all" : window
    } in a ${architecture} of llama.cpp, where all do in every layer behind ${period - 1} others`,
  );
}

/** Experts that llama.cpp would run otherwise. */
function* refusedExperts({ config: { experts, biases }, family }: Subject): Generator<Refusal> {
  const known = family.gguf?.experts;
  if (!experts || !known) return;
  const { architecture } = family.gguf!;
  const plain = experts.layers.indexOf(false);
  if (plain >= 0) {
    yield modelRefusal(
      `layer ${plain} has an MLP, expected experts in every layer of a ${architecture} of llama.cpp`,
    );
  }
  if (experts.normalized !== known.normalized) {
    yield modelRefusal(
      `the weights of a token's experts ${
        experts.normalized ? "" : "do not "
      }add up to 1, expected ${
        known.normalized ? "that they do" : "them as they are"
      } in a ${architecture} of llama.cpp`,
    );
  }
  if (experts.shared !== undefined && biases.length === 0) {
    yield modelRefusal(
      `queries, keys and values have no biases, expected them in a ${architecture} of llama.cpp`,
    );
  }
}

/** Linears that are one tensor there, and so of one type. */
function* refusedFused(subject: Subject): Generator<Refusal> {
  const { fused, linears } = subject;
  const words = new Map(
    linears.map((
      { weight, scheme },
    ) => [weight, scheme ? weightWords(scheme.weights) : "no codes"]),
  );
  for (const [, parts] of [...fused, ...stacksOf(subject)]) {
    const schemes = new Set(parts.map((part) => words.get(part)));
    if (schemes.size === 1) continue;
    const names = parts.length > 4 ? [parts[0]!, "...", parts.at(-1)!] : parts;
    yield modelRefusal(
      `${
        names.map((name) => moduleOf(name) || name).join(", ")
      } are one tensor in llama.cpp and have ${[...schemes].join(" and ")}, expected one scheme`,
    );
  }
}
