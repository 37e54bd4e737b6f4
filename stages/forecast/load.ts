import type { Forecast } from "../../pipeline/stage.ts";
import { elements } from "../../kernels/device/tensor.ts";
import { type Checkpoint, openCheckpoint } from "../formats/checkpoint.ts";
import { resolveModel } from "../formats/hub.ts";
import type { TensorSpecification } from "../formats/safetensors_header.ts";
import { PLAIN } from "../models/model_record.ts";
import { hostPeak } from "../models/peaks.ts";
import {
  jsonBytes,
  modelBytes,
  type ModelOutline,
  parsedBytes,
  plannedTensors,
} from "./outlines.ts";

/** Values read and written at once. */
const PIECE_VALUES = 2 ** 24;

/** What loading takes: the pieces of the largest tensor as they are, widened, and as they are kept. */
export async function forecastLoad(
  place: string,
  tensorsOf: (checkpoint: Checkpoint) => readonly TensorSpecification[],
): Promise<Forecast> {
  using checkpoint = await openCheckpoint(await resolveModel(place));
  const { config, tokenizer, files } = checkpoint;
  const specifications = tensorsOf(checkpoint);
  const texts = [
    jsonBytes(config),
    ...files.values().map((text) => new TextEncoder().encode(text).length),
    ...tokenizer ? [jsonBytes(tokenizer.tokenizer), jsonBytes(tokenizer.config)] : [],
  ];
  const textBytes = texts.reduce((sum, bytes) => sum + bytes, 0);
  const facts: ModelOutline = {
    config,
    tensors: plannedTensors(specifications),
    record: PLAIN,
    textBytes,
    lineageBytes: [],
    tokenizer,
  };
  const pieces = specifications.map(({ name, dtype, shape }) => {
    const values = Math.min(PIECE_VALUES, elements(shape));
    const source = checkpoint.tensors.get(name)?.dtype ?? "";
    return values * (sourceBytes(source) + 4 + (dtype === "F16" ? 2 : 0));
  });
  return {
    deviceBytes: 0,
    hostBytes: hostPeak({ arrays: pieces.reduce((a, b) => Math.max(a, b)) }) + parsedBytes(facts),
    diskBytes: modelBytes(facts),
    facts,
  };
}

/** Bytes of a value as it is stored, blocks of codes as if they were bytes. */
function sourceBytes(dtype: string): number {
  return dtype === "F32" ? 4 : /16$/.test(dtype) ? 2 : 1;
}
