import type { Forecast } from "../pipeline/stage.ts";
import type { ModelOutline } from "./facts.ts";
import type { StoredTensor } from "./formats/checkpoint.ts";
import { type SafetensorsDType, tensorBytes } from "./formats/safetensors/header.ts";
import { adaptedLinears } from "./models/adapted_linears.ts";
import { architectureOf } from "./models/architecture.ts";
import type { ModelRecord } from "./models/model_record.ts";
import { type DevicePeaks, hostPeak, releasedPeak } from "./models/peaks.ts";
import { type Rewrite, rewriteBytes } from "./models/rewrite.ts";

/** Most bytes that the header of a safetensors file has for a tensor. */
const ENTRY_BYTES = 160;
/** The same for a step of a model's history, a linear and a layer's KV cache in its record. */
const STEP_BYTES = 2_000;
const LINEAR_BYTES = 800;
const KV_BYTES = 600;
/** And for a value of the center of its keys, on a line of its own, and for a place of an order. */
const CENTER_BYTES = 30;
/** And for the loss before a step of learning. */
const LOSS_BYTES = 30;
const PLACE_BYTES = 16;
/** And for a turn of a basis. */
const TURN_BYTES = 200;
/** Most turns of one side of a linear in a step. */
const FEW_TURNS = 4;
/** And for an order's name. */
const ORDER_BYTES = 100;

/** Most bytes of the files of a model. */
export function modelBytes({ record, ...facts }: ModelOutline): number {
  const linears = Object.keys(record.linears).length;
  const centers = record.kv.reduce((sum, { keyCenter }) => sum + (keyCenter?.length ?? 0), 0);
  const shares = record.kv.reduce((sum, kv) => sum + (kv.keyCompensation?.length ?? 0), 0);
  const orders = Object.values(record.orders ?? {})
    .reduce((sum, { length }) => sum + ORDER_BYTES + PLACE_BYTES * length, 0);
  const turns = (record.basis ?? [])
    .reduce((sum, { turns }) => sum + TURN_BYTES * (1 + Object.keys(turns).length), 0);
  return tensorsBytes(facts.tensors.values()) + facts.textBytes + facts.lineageBytes + turns +
    STEP_BYTES * (record.history.length + (record.before?.length ?? 0)) + LINEAR_BYTES * linears +
    KV_BYTES * record.kv.length +
    CENTER_BYTES * centers + shares + orders + LOSS_BYTES * (record.measured.rotation?.length ?? 0);
}

/** Fewest bytes of the files that a model of other precision of its KV cache shares with it. */
export function linkedBytes({ tensors, textBytes }: ModelOutline): number {
  return tensorsBytes(tensors.values()) - ENTRY_BYTES * tensors.size + textBytes;
}

/** Most bytes of safetensors files with these tensors. */
export function tensorsBytes(
  tensors: Iterable<Pick<StoredTensor, "dtype" | "shape">>,
): number {
  let bytes = 8;
  for (const { dtype, shape } of tensors) {
    bytes += ENTRY_BYTES + tensorBytes({ dtype: dtype as SafetensorsDType, shape });
  }
  return bytes;
}

/**
 * Bytes of objects that a checkpoint's texts become when it is opened, most of which are its
 * tokenizer's, and as many again where `tokenizes` says that tokens are looked up.
 */
export function parsedBytes(
  { textBytes }: Pick<ModelOutline, "textBytes">,
  { tokenizes = false }: { readonly tokenizes?: boolean } = {},
): number {
  return (tokenizes ? 32 : 16) * textBytes;
}

/** Most bytes of a file of channel changes of such a model: some of every tap, and of both sides of every linear. */
function changesBytes(config: unknown, { basis = [] }: Pick<ModelRecord, "basis">): number {
  const architecture = architectureOf(config);
  const taps = architecture.layers
    .flatMap(({ sites, taps }) => [...sites, ...Object.values(taps)]);
  const linears = adaptedLinears(architecture)
    .flatMap(({ columns, rows }) => [columns, rows, FEW_TURNS, FEW_TURNS]);
  const matrices = Object.values(basis.at(-1)?.turns ?? {})
    .flatMap((turn) => "kept" in turn ? [turn.size * turn.size] : []);
  const values = [...taps.map(({ channels }) => channels), ...linears, ...matrices];
  return tensorsBytes(values.map((count) => ({ dtype: "F32", shape: [count] })));
}

/** What rewriting a model takes, by the very rewrite, and what searching for it took. */
export function rewriteForecast(
  model: ModelOutline,
  { edit, added = new Map<string, string>(), config = model.config, record }: Pick<
    Rewrite,
    "edit" | "added" | "config" | "record"
  >,
  { peaks, arrays = 0, choices = 0, measures = true, products = peaks !== undefined }: {
    readonly peaks?: DevicePeaks;
    /** Bytes of arrays of the search. */
    readonly arrays?: number;
    /** How many choices are told beside the model. */
    readonly choices?: number;
    /** Whether channels change in a way behind which what was measured before is valid. */
    readonly measures?: boolean;
    /** Whether weights were multiplied, for the search or the rewrite; where there was a search unless said. */
    readonly products?: boolean;
  } = {},
): Forecast & { readonly facts: ModelOutline } {
  const copies = [...added].flatMap(([name, source]) => {
    const found = model.tensors.get(source);
    return found ? [[name, { ...found, name }] as const] : [];
  });
  const tensors = new Map([...model.tensors, ...copies]);
  const changed = changesBytes(config, record);
  const lineageBytes = model.lineageBytes + changed;
  const facts = { ...model, config, tensors, record, lineageBytes };
  return {
    deviceBytes: peaks?.deviceBytes ?? 0,
    hostBytes: Math.max(
      releasedPeak(rewriteBytes(tensors, edit)) + (products ? PRODUCTS_BYTES : 0),
      hostPeak(arrays, peaks),
    ) + parsedBytes(model),
    diskBytes: modelBytes(facts) + CHOICE_BYTES * choices,
    // The journal has the changes, and the factors of weights in double precision.
    workBytes: measures ? 6 * changed : 0,
    facts,
  };
}

/** Bytes of arrays that products have left when a model is rewritten, before the collector looks. */
const PRODUCTS_BYTES = 3 * 2 ** 24;
/** Most bytes of a choice beside a model. */
const CHOICE_BYTES = 600;
