import type { LinearScheme } from "../../quant/schemes.ts";
import { formatOf, writtenLayout } from "./layout.ts";
import { moduleOf, routersOf } from "../../models/site.ts";
import { codedByWeight, type Subject } from "../subject.ts";

/** The release of the library whose words these are. */
const VERSION = "0.20.0";

/**
 * `quantization_config` of a model, as compressed-tensors 0.20 writes it and vLLM 0.33 reads it.
 *
 * Linears of one scheme are named by their class, those of several one by one; dense linears, routers
 * and a dense head are ignored. A head in codes is always named: vLLM asks for its class by no other
 * way (its pull request 37291).
 */
export function quantizationConfig(
  subject: Pick<Subject, "linears" | "codedHead" | "ownHead" | "sites">,
): Record<string, unknown> {
  const { linears, codedHead, ownHead, sites } = subject;
  const groups = schemeGroups(subject);
  const formats = new Set(groups.map(({ scheme }) => formatOf(writtenLayout(scheme))));
  const dense = [...linears.filter(({ scheme }) => !scheme), ...routersOf(sites)]
    .map(({ name }) => name);
  return {
    config_groups: Object.fromEntries(
      groups.map(({ scheme, names }, at) => [`group_${at}`, {
        targets: groups.length > 1 ? names : codedHead ? ["Linear", codedHead.name] : ["Linear"],
        weights: weightArgs(scheme),
        input_activations: inputArgs(scheme),
        output_activations: null,
        format: formatOf(writtenLayout(scheme)),
      }]),
    ),
    quant_method: "compressed-tensors",
    format: formats.size === 1 ? [...formats][0] : "mixed-precision",
    quantization_status: "compressed",
    kv_cache_scheme: null,
    global_compression_ratio: null,
    ignore: [...codedHead ? [] : [moduleOf(ownHead)], ...dense],
    version: VERSION,
  };
}

/** Linears that one group of the config describes. */
function schemeGroups(
  subject: Pick<Subject, "linears" | "codedHead">,
): readonly { readonly scheme: LinearScheme; readonly names: string[] }[] {
  const groups = new Map<string, { readonly scheme: LinearScheme; readonly names: string[] }>();
  for (const { name, scheme } of codedByWeight(subject).values()) {
    const words = JSON.stringify([weightArgs(scheme), inputArgs(scheme)]);
    const group = groups.get(words);
    if (group) group.names.push(name);
    else groups.set(words, { scheme, names: [name] });
  }
  return [...groups.values()];
}

function weightArgs({ weights: { bits, zero, group } }: LinearScheme): Record<string, unknown> {
  return {
    num_bits: bits,
    type: "int",
    symmetric: zero === "none",
    group_size: typeof group === "number" ? group : null,
    strategy: typeof group === "number" ? "group" : "channel",
    dynamic: false,
  };
}

function inputArgs({ inputs }: LinearScheme): Record<string, unknown> | null {
  if (!inputs) return null;
  const dynamic = inputs.range === "dynamic";
  return {
    num_bits: inputs.bits,
    type: "int",
    symmetric: true,
    group_size: null,
    strategy: dynamic ? "token" : "tensor",
    dynamic,
  };
}
