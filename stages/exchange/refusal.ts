import type { Format, FormatOptions, Refusal } from "./format.ts";
import { type Subject, without } from "./subject.ts";

/**
 * Throws unless a format can hold a model; says every reason (those of the headers unless said), what
 * the user may give up, and the nearest format that holds it.
 */
export function refuseExport(
  name: string,
  subject: Subject,
  { options, formats, refusals = formats[name]!.refusals(subject, options) }: {
    readonly options: FormatOptions;
    readonly formats: Readonly<Record<string, Format>>;
    readonly refusals?: readonly Refusal[];
  },
): void {
  if (refusals.length === 0) return;
  const [first, ...more] = [...new Set(refusals.map(({ text }) => text))];
  const others = more.length === 0 ? "" : `; ${more.slice(0, 3).join("; ")}`;
  const rest = more.length > 3 ? `; and ${more.length - 3} more` : "";
  throw new TypeError(
    `Cannot export to ${name}: ${first}${others}${rest}; ${
      wayOut(name, subject, { options, formats, refusals })
    }`,
  );
}

function wayOut(
  name: string,
  subject: Subject,
  { options, formats, refusals }: {
    readonly options: FormatOptions;
    readonly formats: Readonly<Record<string, Format>>;
    readonly refusals: readonly Refusal[];
  },
): string {
  const given = [...new Set(refusals.map(({ what }) => what))].filter((what) => what !== "model");
  const enough = refusals.every(({ what }) => what !== "model");
  const ignore = enough ? `add ignore: [${given.join(", ")}] to give that up, or ` : "";
  const nearest = nearestFormat(name, subject, { options, formats });
  if (nearest) return `${ignore}export to ${nearest}`;
  return `${ignore}no other format holds this model as it is`;
}

/** The format nearest to one that refuses: one that holds the model as it is, else its weights. */
function nearestFormat(
  name: string,
  subject: Subject,
  { options, formats }: {
    readonly options: FormatOptions;
    readonly formats: Readonly<Record<string, Format>>;
  },
): string | undefined {
  const holds = (subject: Subject) =>
    Object.entries(formats).find(([other, format]) =>
      other !== name && format.refusals(subject, { ...options, type: undefined! }).length === 0
    )?.[0];
  const whole = holds(subject);
  if (whole) return whole;
  for (const ignored of [["kv"], ["activations"], ["activations", "kv"]] as const) {
    const found = holds(without(subject, ignored));
    if (found) return `${found} with ignore: [${ignored.join(", ")}]`;
  }
  return undefined;
}
