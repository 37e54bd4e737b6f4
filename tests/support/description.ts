import type { Description } from "../../pipeline/description.ts";

/** A fact of a section, or that there is none. */
export function fact({ sections }: Description, section: string, name: string): string {
  const { facts = [] } = sections.find(({ title }) => title === section) ?? {};
  return facts.find(([one]) => one === name)?.[1] ?? `no ${name} in ${section}`;
}

/** The rows of a section's table. */
export function rows({ sections }: Description, section: string): readonly (readonly string[])[] {
  return sections.find(({ title }) => title === section)?.table?.rows ?? [];
}
