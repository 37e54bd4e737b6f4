import type { Forecast } from "../../pipeline/stage.ts";
import { findFamily } from "../models/families/find_family.ts";
import { NAMES } from "../models/names.ts";
import type { ModelOutline } from "./outlines.ts";
import { forecastRewrite } from "./rewrite.ts";

/** What rotating takes: matrices whose outputs are rotated are held whole. */
export function forecastRotate(
  { model }: { readonly model: ModelOutline },
  { seed, transforms }: {
    readonly seed?: number | undefined;
    readonly transforms: readonly ("out_proj" | "down_proj")[];
  },
): Forecast {
  const { record } = model;
  const { tied } = findFamily(model.config).config(model.config);
  const whole = /\.(o_proj|down_proj)\./;
  const heads = /\.v_proj\./;
  return forecastRewrite(model, {
    record: {
      ...record,
      history: [...record.history, { stage: "rotate", params: { seed, transforms } }],
      lineage: [],
      hadamard: [
        ...record.hadamard,
        ...transforms.includes("down_proj") ? ["mlp.out" as const] : [],
      ],
    },
    edit: (name) =>
      whole.test(name) || (heads.test(name) && transforms.includes("out_proj")) ? "whole" : "rows",
    ...tied && {
      config: { ...model.config as object, tie_word_embeddings: false },
      added: new Map([[NAMES.head, NAMES.embeddings]]),
    },
  });
}
