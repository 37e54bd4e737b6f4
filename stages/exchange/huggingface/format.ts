import { DTYPES, toBrain, toHalf } from "../../formats/half.ts";
import { codedValues } from "../../quant/coded_weight.ts";
import { rowPieces } from "../../formats/rows.ts";
import { checkpointFormat } from "../checkpoint_format.ts";
import type { Refusal } from "../format.ts";
import { COMPARED_VALUES } from "../verify.ts";
import { refusedPrecision } from "../precision_refusals.ts";

/** A plain Hugging Face checkpoint: weights are the values their codes stand for. */
export const huggingface = checkpointFormat({
  name: "huggingface",
  about: "Plain safetensors with dequantized weights, which every program reads.",
  source: "the model classes of transformers",
  refusals: (subject): Refusal[] => [...refusedPrecision(subject, "floating-point weights")],
  engines: () => [
    { engine: "transformers", command: 'AutoModelForCausalLM.from_pretrained("DIR")', limits: [] },
    { engine: "vllm", command: "vllm serve DIR", limits: [] },
  ],
  parts: ({ rows, columns }, { dtype }) => [
    { part: "weight", dtypes: [DTYPES[dtype], "F16", "BF16", "F32"], shape: [rows, columns] },
  ],
  *pack(weight, _part, { dtype }) {
    for (const rows of rowPieces([weight.rows, weight.columns], { values: COMPARED_VALUES })) {
      const values = codedValues(weight, rows);
      if (dtype === "float32") yield values;
      else yield dtype === "bfloat16" ? toBrain(values) : toHalf(values, "weight", "the model");
    }
  },
  config: (_subject, json) => ({ ...json }),
  fuses: true,
  codesHead: true,
  // Any checkpoint is one, so nothing is recognized by it: load reads plain checkpoints itself.
  recognizes: () => false,
  precision: () => Promise.resolve({ linears: {}, kv: [] }),
  unpack() {
    throw new TypeError("Cannot read codes of a plain checkpoint: it has none, expected none");
  },
});
