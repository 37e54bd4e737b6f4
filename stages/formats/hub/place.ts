const PREFIX = "hf:";
const DATASETS = "datasets/";

/** A repository of the hub at a revision, or one file of it. */
export interface HubPlace {
  readonly type: "model" | "dataset";
  readonly name: string;
  readonly revision: string;
  readonly file?: string;
}

/**
 * Takes `hf:org/name@revision/path/to/file` apart, with `datasets/` before the name of a data set;
 * `undefined` for a place that does not begin with `hf:`.
 *
 * The revision may be left out, and may hold slashes itself where no file follows.
 */
export function parseHubPlace(place: string): HubPlace | undefined {
  if (!place.startsWith(PREFIX)) return undefined;
  const rest = place.slice(PREFIX.length);
  const type = rest.startsWith(DATASETS) ? "dataset" : "model";
  const [left = "", ...right] = (type === "dataset" ? rest.slice(DATASETS.length) : rest).split(
    "@",
  );
  const [organization = "", model = "", ...inside] = left.split("/");
  const { revision, file } = right.length > 0
    ? splitRevision(right.join("@"))
    : { revision: "main", file: inside.join("/") };
  const named = /^\w[\w.-]*$/.test(organization) && /^\w[\w.-]*$/.test(model);
  const nested = right.length > 0 && inside.length > 0;
  const path = /(^|\/)\.{1,2}(\/|$)/.test(`${revision}/${file}`);
  if (!named || nested || path || revision === "") {
    throw new SyntaxError(
      `Cannot find "${place}" on the hub: expected ${PREFIX}${
        type === "dataset" ? DATASETS : ""
      }organization/name@revision, and /file after it where one file is meant`,
    );
  }
  return { type, name: `${organization}/${model}`, revision, ...(file ? { file } : {}) };
}

/**
 * The place on the hub that `org/name` or `org/name@revision` means where no path is called so;
 * `undefined` for anything else.
 */
export async function impliedHubPlace(place: string): Promise<string | undefined> {
  if (!/^\w[\w.-]*\/\w[\w.-]*(@\w[\w./-]*)?$/.test(place)) return undefined;
  if (/\.(gguf|safetensors|pt|json|ya?ml)$/.test(place)) return undefined;
  const there = await Deno.stat(place).then(() => true, () => false);
  return there ? undefined : `${PREFIX}${place}`;
}

function splitRevision(text: string): { readonly revision: string; readonly file: string } {
  // A branch that the hub makes, such as `refs/convert/parquet` or `refs/pr/1`, has three parts.
  const own = /^refs\/(?:convert|pr)\/[^/]+/.exec(text)?.[0];
  const [revision = "", ...path] = own === undefined
    ? text.split("/")
    : [own, ...text.slice(own.length + 1).split("/")];
  const last = path.at(-1) ?? "";
  if (!/\.\w+$/.test(last)) return { revision: text, file: "" };
  return { revision, file: path.join("/") };
}
