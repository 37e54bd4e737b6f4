import { z } from "zod";

/** One complaint of a schema: the path it is about, and what would be right there. */
export interface Complaint {
  readonly path: readonly PropertyKey[];
  readonly text: string;
  /** The path names a field the schema does not know. */
  readonly unknown: boolean;
}

/** What a schema's issue says, one complaint for each place it is about. */
export function complaintsOf(
  issue: z.core.$ZodIssue,
  above: readonly PropertyKey[] = [],
): Complaint[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], text: issue.message, unknown: true }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branches = issue.errors.map((issues) =>
      issues.flatMap((inner) => complaintsOf(inner, path))
    );
    // A branch that fails only further in is the one that was meant.
    const meant = branches.find((branch) => branch.every((one) => one.path.length > path.length));
    if (meant !== undefined) return meant;
    const wanted = branches.flat().map(({ text }) => text.replace(/^expected (.*?)(, .*)?$/, "$1"));
    return [{ path, text: `expected ${[...new Set(wanted)].join(" or ")}`, unknown: false }];
  }
  return [{ path, text: issue.message.replace(/^Invalid \w+: /, ""), unknown: false }];
}

/** Names a schema knows at a path, as far as its JSON Schema says. */
export function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  for (const name of path) {
    const { properties, items } = (at ?? {}) as Record<string, Record<string, unknown>>;
    at = properties?.[String(name)] ?? items;
  }
  return Object.keys((at as { properties?: object } | undefined)?.properties ?? {});
}
