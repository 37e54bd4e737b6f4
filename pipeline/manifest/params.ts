import { suggestion } from "./nearest.ts";
import type { Override } from "./override.ts";
import type { Place, Report } from "./problem.ts";
import type { Reference } from "./references.ts";
import { type Data, typeWord, wordFor, type YamlNode } from "./yaml_tree.ts";

/** A named value of a manifest. */
export interface ManifestParam {
  readonly name: string;
  /** Where it is declared. */
  readonly place: Place;
  /** Its default, or what the matrix gives it. */
  readonly value: Data;
  /** Where the value stands. */
  readonly valuePlace: Place;
  /** What the command line makes of it. */
  readonly override?: Override;
  /** The matrix gives the value, one of several. */
  readonly swept?: true;
}

/** The `params` of a manifest under the overrides that name one. */
export function readParams(
  node: YamlNode | undefined,
  { overrides, report }: { readonly overrides: readonly Override[]; readonly report: Report },
): Map<string, ManifestParam> {
  const params = new Map<string, ManifestParam>();
  for (const [name, { place, value }] of node?.type === "map" ? node.entries : []) {
    if (!/^[A-Za-z_][\w-]*$/.test(name)) {
      report(place, `Cannot name a param "${name}": expected letters, digits, "_" and "-"`);
    }
    const scalar = value.type === "scalar" ? value.value : null;
    if (scalar === null) {
      const wanted = "expected a number, text, true or false";
      report(
        value.place,
        `Cannot type param "${name}": its default is ${wordFor(value)}, ${wanted}`,
      );
    }
    const override = overrides.findLast(({ path }) => path.length === 1 && path[0] === name);
    params.set(name, {
      name,
      place,
      value: scalar,
      valuePlace: value.place,
      ...override && { override },
    });
  }
  return params;
}

/** Reports overrides that name no param and no step. */
export function checkOverrides(
  overrides: readonly Override[],
  { params, drafts, variants, report }: {
    readonly params: ReadonlyMap<string, ManifestParam>;
    /** Steps by the names they are written with, and by those that a matrix makes of them. */
    readonly drafts: ReadonlyMap<string, unknown>;
    readonly variants: ReadonlyMap<string, unknown>;
    readonly report: Report;
  },
): void {
  const steps = [...drafts.keys()];
  for (const { path: [first, second], place } of overrides) {
    if (second === undefined) {
      if (params.has(first)) continue;
      const known = [...params.keys(), ...steps.map((step) => `${step}.key`)];
      report(place, `Cannot find param "${first}": ${suggestion(first, known)}`);
    } else if (!drafts.has(first) && !variants.has(first)) {
      report(place, `Cannot find step "${first}": ${suggestion(first, steps)}`);
    }
  }
}

/** Reports uses of unknown params, params without a use, and overrides of a type that cannot be. */
export function checkReferences(
  references: readonly Reference[],
  { params, report }: {
    readonly params: ReadonlyMap<string, ManifestParam>;
    readonly report: Report;
  },
): void {
  for (const { name, place } of references.filter(({ name }) => !params.has(name))) {
    report(place, `Cannot find param "${name}": ${suggestion(name, [...params.keys()])}`);
  }
  const byName = Map.groupBy(references, ({ name }) => name);
  for (const param of params.values()) {
    const uses = byName.get(param.name) ?? [];
    if (uses.length === 0) {
      const message = `Cannot find a use of param "${param.name}"`;
      report(
        param.place,
        `${message}: expected \${${param.name}} in the "with" of a step`,
      );
    }
    // Where a param is a whole value, the stage's own schema judges it, which knows more.
    if (uses.some(({ whole }) => !whole)) checkOverride(param, report);
  }
}

function checkOverride({ name, override, value: usual }: ManifestParam, report: Report): void {
  if (override === undefined) return;
  const { value, literal, place } = override;
  const text = typeof usual === "string" && (literal !== undefined || typeof value === "string");
  if (text || typeof value === typeof usual) return;
  const given = `${JSON.stringify(literal ?? value)} is ${typeWord(value)}`;
  report(place, `Cannot set param "${name}": ${given}, expected ${typeWord(usual)}`);
}
