import { openModel } from "./architecture.ts";

/**
 * The token with which the texts of a model begin: that of its tokenizer, else of `config.json`.
 *
 * Throws a `TypeError` where there is none, or none that the model has a row for.
 */
export async function readFirstToken(path: string): Promise<number> {
  const { openTokenizer } = await import("./tokenizer.ts");
  using files = await openModel(path);
  const { checkpoint, architecture } = files;
  const { vocabulary } = architecture.config;
  const stated = (checkpoint.config as { readonly bos_token_id?: unknown }).bos_token_id;
  const id = (checkpoint.tokenizer && openTokenizer(checkpoint.tokenizer).bos) ?? stated;
  if (typeof id === "number" && id >= 0 && id < vocabulary) return id;
  throw new TypeError(
    `Cannot put the first token before a text: the model's is ${
      id ?? "not said by tokenizer_config.json or config.json"
    }, expected one below ${vocabulary}; leave out bos`,
  );
}
