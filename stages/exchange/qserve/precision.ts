import { PLAIN } from "../../models/model_record.ts";
import { z } from "zod";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LinearScheme } from "../../quant/schemes.ts";
import { FORM_WORDS, type QserveForm, qserveScheme, QUANT_METHODS } from "./form.ts";
import { readKvScales } from "./kv.ts";
import { TILE } from "./layout.ts";
import { normNames } from "./refusals.ts";
import type { StoredLinear } from "../../models/linear.ts";
import { type Subject, subjectOf } from "../subject.ts";

/** What `quantization_config` says in our exports, and with fewer keys in those for SGLang. */
const qserveSaid = z.looseObject({
  quant_method: z.enum(QUANT_METHODS),
  bits: z.union([z.literal(4), z.literal(8)]).optional(),
  wbits: z.literal(4).optional(),
  group_size: z.int().optional(),
  kv_bits: z.union([z.literal(4), z.literal(8)]).optional(),
  kv_granularity: z.enum(["fine_grained", "per_tensor"]).optional(),
  kv_zero: z.enum(["none", "pre_scale", "post_scale"]).optional(),
});

/**
 * Precision of a checkpoint for QServe's engine: that of the linears by the names and shapes of their
 * tensors, for most files say it nowhere else; that of dynamic KV caches from `quantization_config`.
 *
 * Throws where names, shapes and config contradict each other, and where a norm beside 4-bit weights
 * has gains other than 1, which the engine would not load.
 */
export async function readQservePrecision(
  checkpoint: Checkpoint,
): Promise<{
  readonly linears: Readonly<Record<string, LinearScheme>>;
  readonly kv: Subject["record"]["kv"];
}> {
  const { linears: outlines, config, layers, sites } = subjectOf({
    config: checkpoint.config,
    record: PLAIN,
  });
  const said = saidBy(checkpoint);
  const linears: Record<string, LinearScheme> = {};
  let packed = false;
  for (const linear of outlines) {
    const form = storedForm(checkpoint, linear);
    if (!form) continue;
    if (form !== "bytes") checkTiles(checkpoint, linear);
    const group = form === "groups" ? storedGroup(checkpoint, linear) : linear.columns;
    checkSaid(checkpoint, said, { name: linear.name, form, group });
    linears[linear.name] = qserveScheme(form, group);
    packed ||= form !== "bytes";
  }
  if (packed) await checkGains(checkpoint, sites);
  const fixed = await readKvScales(checkpoint, { layers, config });
  const { kv_bits: bits, kv_zero: zero = "post_scale", kv_granularity: granularity } = said ?? {};
  if (fixed || bits === undefined || granularity === "per_tensor") {
    return { linears, kv: fixed ?? [] };
  }
  const scheme = { bits, zero, group: config.headSize };
  return { linears, kv: layers.map(() => ({ key: scheme, value: scheme })) };
}

function saidBy({ path, config }: Checkpoint): z.infer<typeof qserveSaid> | undefined {
  const { quantization_config: found } = config as { readonly quantization_config?: unknown };
  if (found === undefined || found === null) return undefined;
  const parsed = qserveSaid.safeParse(found);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new TypeError(
    `Cannot read "${path}" as qserve: its quantization_config is of another kind (${
      problems.join("; ")
    }), expected QServe's or none`,
  );
}

/** The form of a linear by the names of its tensors; undefined for one in full precision. */
function storedForm(
  { path, tensors }: Checkpoint,
  { name }: StoredLinear,
): QserveForm | undefined {
  const has = (part: string) => tensors.has(`${name}.${part}`);
  if (has("dequant_scale")) return "bytes";
  if (!has("qweight") && !has("s1_scales")) return undefined;
  const [channel, groups] = [has("s1_szeros"), has("s2_scales") || has("s2_zeros")];
  if (channel !== groups) return channel ? "channel" : "groups";
  throw new TypeError(
    `Cannot read "${path}" as qserve: "${name}" has ${
      channel ? "both" : "neither"
    } s1_szeros and s2_scales, expected one of them`,
  );
}

function checkTiles({ path }: Checkpoint, { name, rows, columns }: StoredLinear): void {
  if (rows % TILE === 0 && columns % TILE === 0) return;
  throw new RangeError(
    `Cannot read "${path}" as qserve: "${name}" is ${rows} by ${columns}, expected multiples of ${TILE}, which codes lie in tiles of`,
  );
}

/** Columns of a group by the shape of the group scales. */
function storedGroup({ path, tensors }: Checkpoint, { name, columns }: StoredLinear): number {
  const part = `${name}.s2_scales`;
  const shape = tensors.get(part)?.shape ?? [];
  const [groups = 0] = shape;
  if (groups > 0 && columns % groups === 0) return columns / groups;
  throw new RangeError(
    `Cannot read "${path}" as qserve: tensor "${part}" is [${
      shape.join(", ")
    }], expected groups that divide ${columns} inputs`,
  );
}

function checkSaid(
  { path }: Checkpoint,
  said: z.infer<typeof qserveSaid> | undefined,
  { name, form, group }: {
    readonly name: string;
    readonly form: QserveForm;
    readonly group: number;
  },
): void {
  const found = {
    weight_bits: form === "bytes" ? 8 : 4,
    group_size: form === "groups" ? group : -1,
  };
  for (const [key, value] of Object.entries(found)) {
    const expected = said?.[key];
    if (expected === undefined || expected === value) continue;
    throw new TypeError(
      `Cannot read "${path}" as qserve: "${name}" has ${
        FORM_WORDS[form]
      } (${key} ${value}), expected ${key} ${expected} as its quantization_config says`,
    );
  }
}

async function checkGains(checkpoint: Checkpoint, sites: Subject["sites"]): Promise<void> {
  for (const name of normNames({ sites })) {
    if (!checkpoint.tensors.has(name)) continue;
    const gains = await checkpoint.read(name);
    const channel = gains.findIndex((gain) => gain !== 1);
    if (channel < 0) continue;
    throw new RangeError(
      `Cannot read "${checkpoint.path}" as qserve: tensor "${name}" has gain ${
        gains[channel]
      } at channel ${channel}, expected 1: the engine loads no norms beside 4-bit weights`,
    );
  }
}
