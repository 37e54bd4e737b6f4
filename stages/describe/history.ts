import type { Section } from "../../pipeline/description.ts";
import type { ModelRecord } from "../models/model_record.ts";

/** What was done to a model since it was loaded, as its record tells. */
export function historySection({ history, hadamard, lineage }: ModelRecord): Section {
  return {
    title: "History",
    facts: history.length === 0
      ? [["changes", "none: as it was loaded"]]
      : history.map(({ stage, params }) => [stage, paramWords(params)] as const).concat([
        ["online transforms", hadamard.length > 0 ? `Hadamard at ${hadamard.join(", ")}` : "none"],
        [
          "statistics",
          lineage.length > 0
            ? `those of ${lineage.length} earlier forms are valid: ${
              lineage.map(({ from }) => from.slice(0, 12)).join(", ")
            }`
            : "only its own are valid",
        ],
      ]),
  };
}

/** Parameters on one line: `alpha 0.3, weights.bits 4`. */
function paramWords(params: unknown): string {
  return words(params, "").join(", ") || "without parameters";
}

function words(value: unknown, name: string): string[] {
  if (value === undefined) return [];
  if (typeof value !== "object" || value === null) return [`${name} ${value}`];
  if (Array.isArray(value)) {
    const items = value.map((item) => typeof item === "object" ? JSON.stringify(item) : item);
    return [`${name} ${items.length > 0 ? items.join("+") : "none"}`];
  }
  return Object.entries(value).flatMap(([field, inner]) =>
    words(inner, name === "" ? field : `${name}.${field}`)
  );
}
