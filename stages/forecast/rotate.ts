import type { Forecast } from "../../pipeline/stage.ts";
import { architectureOf } from "../models/architecture.ts";
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
  const { tied } = architectureOf(model.config).config;
  const untied = { ...model.config as object, tie_word_embeddings: false };
  const { embeddings, ownHead, layers, sites } = architectureOf(untied);
  const written = sites.filter(({ residual }) => residual === "written")
    .flatMap(({ linears }) => linears);
  const values = transforms.includes("out_proj") ? layers.map(({ taps }) => taps.values.fedBy) : [];
  const whole = new Set([...written, ...values].flatMap(({ weight, bias }) => [weight, bias]));
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
    edit: (name) => whole.has(name) ? "whole" : "rows",
    ...tied && {
      config: untied,
      added: new Map([[ownHead, embeddings]]),
    },
  });
}
