import type { Forecast } from "../../pipeline/stage.ts";
import { findFamily } from "../models/families/find_family.ts";
import { NAMES } from "../models/names.ts";
import { writesResidual } from "../models/norm_gains.ts";
import type { ModelOutline } from "./outlines.ts";
import { changedRecord, forecastRewrite } from "./rewrite.ts";

/** What folding takes: a piece of a matrix at a time, and the gains. */
export function forecastFold({ model }: { readonly model: ModelOutline }): Forecast {
  const family = findFamily(model.config);
  const { tied } = family.config(model.config);
  const untied = { ...model.config as object, tie_word_embeddings: false };
  const config = family.config(untied);
  const sites = family.sites(config).filter((site) => !writesResidual(site));
  const edited = new Set(sites.flatMap(({ linears, fedBy }) => [...linears, fedBy]));
  return forecastRewrite(model, {
    record: changedRecord(model.record, "fold", {}),
    edit: (name) => edited.has(name) ? "rows" : undefined,
    ...tied && { config: untied, added: new Map([[NAMES.head, NAMES.embeddings]]) },
    changes: new Map(sites.map(({ name }) => [`${name}.scale`, config.hidden])),
  });
}
