import type { Journal } from "../../pipeline/stage.ts";

/** A journal that keeps nothing: every call of a stage begins anew. */
export const forgetful: Journal = {
  recall: (_, make) => make(),
  read: () => Promise.resolve(undefined),
  write: () => Promise.resolve(),
  keep: () => Promise.resolve(),
  restore: () => Promise.resolve(false),
};
