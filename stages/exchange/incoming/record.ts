import { kvGroups, MOST_SINKS } from "../../../kernels/codes/kv_page.ts";
import { z } from "zod";
import { readOptionalJson } from "../../formats/foreign_json.ts";
import type { Architecture } from "../../models/family.ts";
import { MODEL_RECORD, type ModelRecord } from "../../models/model_record.ts";
import { siteRole } from "../../models/site.ts";
import { packedLength } from "../../quant/compensation.ts";
import { weightScheme, zeroDomain } from "../../quant/schemes.ts";

/** Weights of a record state every field, which manifests need not. */
const weights = z.strictObject({
  bits: weightScheme.shape.bits.unwrap(),
  zero: zeroDomain,
  group: weightScheme.shape.group.unwrap(),
  levels: weightScheme.shape.levels.unwrap(),
  full: weightScheme.shape.full,
  outlier_bits: weightScheme.shape.outlier_bits,
});

const kvScheme = z.strictObject({
  bits: z.union([z.literal(16), z.literal(8), z.literal(4)]),
  zero: zeroDomain,
  group: z.int().positive(),
  range: z.number().positive().optional(),
  clip: z.number().positive().max(1).optional(),
  fit: z.literal(true).optional(),
});

const channels = z.string().regex(/^channels-\d+\.safetensors$/);
const size = z.int().positive();

/** Stages of a history; what else a record says of each is told and not read. */
export const history = z.array(z.looseObject({ stage: z.string() }));

/** What `model.json` of an artifact must be for the artifact to be brought in. */
const ownRecord = z.strictObject({
  version: z.literal(1),
  history,
  before: history.optional(),
  lineage: z.array(z.strictObject({ from: z.string(), file: channels })),
  basis: z.array(z.strictObject({
    stage: z.string(),
    file: channels,
    turns: z.record(
      z.string(),
      z.union([
        z.strictObject({ size, kept: z.literal(true) }),
        z.strictObject({
          size,
          seed: z.int().nonnegative().optional(),
          place: z.enum(["residual", "head"]).optional(),
          keepsMeans: z.literal(true).optional(),
        }),
      ]),
    ),
  })).optional(),
  hadamard: z.array(siteRole),
  orders: z.record(z.string(), z.array(z.int().nonnegative())).optional(),
  linears: z.record(
    z.string(),
    z.strictObject({
      weights,
      inputs: z.strictObject({
        bits: z.union([z.literal(8), z.literal(4)]),
        range: z.union([z.literal("dynamic"), z.number().positive()]),
        clip: z.number().positive().max(1).optional(),
        group: z.int().positive().optional(),
        outlier_bits: z.literal(8).optional(),
      }).optional(),
    }),
  ),
  kv: z.array(z.strictObject({
    key: kvScheme,
    value: kvScheme,
    rotatedKeys: z.literal(true).optional(),
    keyCenter: z.array(z.number()).optional(),
    keysBeforeRope: z.literal(true).optional(),
    keyCompensation: z.base64().optional(),
    sinks: z.int().positive().max(MOST_SINKS).optional(),
  })),
  measured: z.strictObject({
    linears: z.record(z.string(), z.looseObject({})),
    kv: z.array(z.number().nullable()),
    rotation: z.array(z.number().nullable()).optional(),
  }),
});

/**
 * Reads `model.json` of a directory; undefined where there is none, or one of another program.
 *
 * Throws with the first field that is not as it should be.
 */
export async function readOwnRecord(directory: string): Promise<ModelRecord | undefined> {
  const path = `${directory}/${MODEL_RECORD}`;
  const found = await Deno.stat(path).catch(() => undefined);
  if (!found?.isFile) return undefined;
  const json = await readOptionalJson(path);
  if (!isOurs(json)) return undefined;
  const { error } = ownRecord.safeParse(json);
  if (!error) return json as ModelRecord;
  const [{ path: at, message }] = error.issues as [z.core.$ZodIssue];
  throw new TypeError(
    `Cannot read "${path}": ${at.join(".") || "it"}: ${message}, expected a record of this program`,
  );
}

/** Whether a JSON value is meant as a record of ours: other programs use the file's name too. */
function isOurs(json: unknown): boolean {
  return typeof json === "object" && json !== null && "history" in json && "linears" in json;
}

/** Throws where a record tells of linears or layers that its model does not have. */
export function checkOwnRecord(
  { linears, kv, orders = {} }: ModelRecord,
  { quantizable, layers: outlined, config: { layers, kvHeads, headSize } }: Architecture,
  path: string,
): void {
  const known = new Set(quantizable.map(({ name }) => name));
  const stray = Object.keys(linears).find((name) => !known.has(name));
  if (stray !== undefined) {
    throw new TypeError(
      `Cannot load "${path}": ${MODEL_RECORD} tells of "${stray}", expected linears of the model`,
    );
  }
  const sites = new Map(outlined.flatMap(({ sites }) => sites).map((site) => [site.name, site]));
  for (const [name, order] of Object.entries(orders)) {
    const channels = sites.get(name)?.channels;
    if (
      channels === order.length && new Set(order).size === channels &&
      order.every((at) => at < channels)
    ) continue;
    throw new TypeError(
      `Cannot load "${path}": ${MODEL_RECORD} has an order of ${order.length} channels at "${name}", expected ${
        channels === undefined ? "sites of the model" : `each of its ${channels} once`
      }`,
    );
  }
  if (kv.length !== 0 && kv.length !== layers) {
    throw new TypeError(
      `Cannot load "${path}": ${MODEL_RECORD} tells of the KV cache of ${kv.length} layers, expected ${layers} or none`,
    );
  }
  const [first] = kv;
  const unlike = kv.find(({ sinks }) => sinks !== first?.sinks);
  if (unlike !== undefined) {
    throw new TypeError(
      `Cannot load "${path}": ${MODEL_RECORD} keeps the first ${
        first?.sinks ?? 0
      } tokens of layer 0 in half precision and ${
        unlike.sinks ?? 0
      } of another layer, expected as many in all layers`,
    );
  }
  const length = packedLength(kvHeads, headSize);
  const other = kv.find(({ keyCompensation: text = "" }) => text && text.length !== length);
  if (other !== undefined) {
    throw new RangeError(
      `Cannot load "${path}": ${MODEL_RECORD} has ${
        other.keyCompensation!.length
      } characters of a layer's keyCompensation, expected ${length} for ${kvHeads} heads of ${headSize} channels`,
    );
  }
  const odd = kv.flatMap(({ key, value }) => [key, value])
    .find(({ group }) => !kvGroups(headSize).includes(group));
  if (odd === undefined) return;
  throw new RangeError(
    `Cannot load "${path}": ${MODEL_RECORD} has groups of ${odd.group} in the KV cache, expected ${
      kvGroups(headSize).join(", ")
    } for heads of ${headSize} channels`,
  );
}
