import type { Checkpoint } from "../../formats/checkpoint.ts";
import { type LinearRole, routersOf } from "../../models/site.ts";
import type { LinearScheme, WeightScheme } from "../../quant/schemes.ts";
import { modelRefusal, type Refusal } from "../format.ts";
import { groupOf, packedLinears, statedQuantization } from "../stated_quantization.ts";
import type { GptqVersion } from "./zeros.ts";
import type { Subject } from "../subject.ts";
import { groupSize } from "../weight_rules.ts";

const NAMES = { 1: "gptq", 2: "gptq_v2" } as const;
const WIDTHS = [2, 3, 4, 8] as const;

/** `quantization_config` of an export, which is its `quantize_config.json` too. */
export function gptqConfig(subject: Subject, version: GptqVersion): Record<string, unknown> {
  const { weights } = subject.linears.find(({ scheme }) => scheme)!.scheme!;
  const dense = denseRoles(subject);
  const routers = routersOf(subject.sites);
  const kept = modulesOf(subject, rolesOf(subject).filter((role) => !dense.includes(role)));
  return {
    quant_method: "gptq",
    bits: weights.bits,
    group_size: groupSize(weights),
    sym: weights.zero === "none",
    desc_act: false,
    checkpoint_format: NAMES[version],
    lm_head: false,
    pack_dtype: "int32",
    ...historyKeys(subject),
    // The first is read by transformers and vLLM, the second by GPTQModel.
    ...(dense.length > 0 || routers.length > 0) &&
      { modules_in_block_to_quantize: [kept], dynamic: skipRules(subject, dense) },
  };
}

/** Why a format that leaves linears in full precision by their roles cannot hold a model. */
export function* refusedRoles({ linears }: Pick<Subject, "linears">): Generator<Refusal> {
  for (const role of rolesOf({ linears })) {
    const [first, ...more] = linears.filter((linear) => linear.role === role);
    const other = more.find(({ scheme }) => !scheme !== !first?.scheme);
    if (!first || !other) continue;
    const [dense, coded] = first.scheme ? [other, first] : [first, other];
    yield modelRefusal(
      `${dense.name} is in full precision and ${coded.name} is not, expected the same in all layers`,
    );
  }
}

/** Roles that stay in full precision in all layers. */
export function denseRoles({ linears }: Pick<Subject, "linears">): readonly LinearRole[] {
  return rolesOf({ linears }).filter((role) =>
    linears.every((linear) => linear.role !== role || !linear.scheme)
  );
}

/** The names that linears of some roles have within their layers. */
export function modulesOf(
  { linears }: Pick<Subject, "linears">,
  roles: readonly LinearRole[],
): string[] {
  return [
    ...new Set(linears.filter(({ role }) => roles.includes(role)).map(({ module }) => module)),
  ];
}

function rolesOf({ linears }: Pick<Subject, "linears">): LinearRole[] {
  return [...new Set(linears.map(({ role }) => role))];
}

/** Rules of GPTQModel that leave linears out, also by the names that vLLM gives joined ones. */
function skipRules(
  subject: Pick<Subject, "linears" | "sites">,
  dense: readonly LinearRole[],
): Record<string, object> {
  const all = (...roles: readonly LinearRole[]) => roles.every((role) => dense.includes(role));
  const names = [
    ...modulesOf(subject, dense),
    ...all("q", "k", "v") ? ["self_attn.qkv_proj"] : [],
    ...all("gate", "up") ? ["mlp.gate_up_proj"] : [],
  ];
  const rule = (name: string) => `${name.replaceAll(".", "\\.")}$`;
  return Object.fromEntries([
    ...names.map((name) => [`-:.*\\.${rule(name)}`, {}]),
    ...routersOf(subject.sites).map(({ name }) => [`-:^${rule(name)}`, {}]),
  ]);
}

/** How the codes were found, as far as other programs have words for it. */
function historyKeys({ record }: Pick<Subject, "record">): Record<string, unknown> {
  const params = record.history.findLast(({ stage }) => stage === "quantize")?.params as {
    readonly method?: string;
    readonly inputs?: string;
    readonly gptq?: { readonly damping?: number; readonly activation_order?: boolean };
  } | undefined;
  if (params?.method !== "gptq") return {};
  const { damping = 0, activation_order } = params.gptq ?? {};
  return {
    true_sequential: params.inputs === "quantized" || params.inputs === "weights",
    static_groups: activation_order === true,
    ...damping > 0 && damping < 1 && { damp_percent: damping },
  };
}

/** Whether a checkpoint of others is in this version of the format. */
export function recognizesGptq(
  checkpoint: Pick<Checkpoint, "config" | "tensors">,
  version: GptqVersion,
): boolean {
  const stated = statedQuantization(checkpoint);
  if (!stated) {
    return version === 1 && [...checkpoint.tensors.keys()].some((name) => name.endsWith(".g_idx"));
  }
  return stated.quant_method === "gptq" && (layoutOf(stated) === NAMES[2]) === (version === 2);
}

function layoutOf(stated: Readonly<Record<string, unknown>>): unknown {
  return stated.checkpoint_format ?? stated.format ?? NAMES[1];
}

/** Precision of a checkpoint's linears, from what it says and the shapes of its tensors. */
export function gptqPrecision(
  checkpoint: Checkpoint,
  version: GptqVersion,
): Readonly<Record<string, LinearScheme>> {
  const stated = statedQuantization(checkpoint);
  if (!stated) {
    throw new TypeError(
      `Cannot read "${checkpoint.path}" as gptq: it says nothing of its quantization, expected quantization_config in config.json or a quantize_config.json`,
    );
  }
  checkLayout(checkpoint.path, stated, version);
  // Rules of single modules: bits and sym may be others there.
  const ruled = Object.keys(stated.dynamic ?? {}).some((rule) => !rule.startsWith("-:"));
  const linears: Record<string, LinearScheme> = {};
  for (const linear of packedLinears(checkpoint)) {
    const { name, columns, words } = linear;
    const bits = WIDTHS.find((width) => width * columns === 32 * words[0]!);
    if (bits === undefined || (!ruled && stated.bits !== bits)) {
      throw new TypeError(
        `Cannot read tensor "${name}.qweight" of "${checkpoint.path}": [${words.join(", ")}] are ${
          32 * words[0]! / columns
        } bits an input, expected ${
          bits === undefined ? WIDTHS.join(", ") : `${stated.bits} as the config says`
        }`,
      );
    }
    const group = groupOf(linear, stated.group_size);
    // Where it may be otherwise, zero points say it in any case.
    const zero = stated.sym === true && !ruled ? "none" : "pre_scale";
    const weights: WeightScheme = { bits, zero, group, levels: 1 };
    linears[name] = { weights };
  }
  return linears;
}

function checkLayout(
  path: string,
  stated: Readonly<Record<string, unknown>>,
  version: GptqVersion,
): void {
  const layout = layoutOf(stated);
  if (layout === NAMES[version] && stated.is_marlin_format !== true) return;
  const found = layout === NAMES[version] ? "is_marlin_format" : `checkpoint_format ${layout}`;
  throw new TypeError(
    `Cannot read "${path}" as ${
      NAMES[version]
    }: its quantization_config says ${found}, expected checkpoint_format ${NAMES[version]}`,
  );
}
