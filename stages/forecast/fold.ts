import type { Forecast } from "../../pipeline/stage.ts";
import { architectureOf } from "../models/architecture.ts";
import type { ModelOutline } from "./outlines.ts";
import { changedRecord, forecastRewrite } from "./rewrite.ts";

/** What folding takes: a piece of a matrix at a time, and the gains. */
export function forecastFold({ model }: { readonly model: ModelOutline }): Forecast {
  const { tied } = architectureOf(model.config).config;
  const untied = { ...model.config as object, tie_word_embeddings: false };
  const { config, embeddings, ownHead, ...rest } = architectureOf(untied);
  const sites = rest.sites.filter(({ residual }) => residual === "read");
  const edited = new Set(
    sites.flatMap(({ linears, fedBy }) => [...linears, fedBy].map(({ weight }) => weight)),
  );
  return forecastRewrite(model, {
    record: changedRecord(model.record, "fold", {}),
    edit: (name) => edited.has(name) ? "rows" : undefined,
    ...tied && { config: untied, added: new Map([[ownHead, embeddings]]) },
    changes: new Map(sites.map(({ name }) => [`${name}.scale`, config.hidden])),
  });
}
