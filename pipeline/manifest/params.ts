import { suggestion } from "./nearest.ts";
import { type Override, overrideSource } from "./override.ts";
import type { Mark, Report } from "./problem.ts";
import { type Reference, typeWord } from "./substitution.ts";
import type { Scalar, YamlNode } from "./yaml_tree.ts";

/** A named value of a manifest, with what `--set` made of it. */
export interface Param {
  readonly name: string;
  readonly mark: Mark;
  readonly default: Scalar;
  readonly override?: Override;
}

/** What reading params needs beside them. */
export interface ParamsContext {
  readonly source: string;
  readonly steps: readonly string[];
  readonly overrides: readonly Override[];
  readonly report: Report;
}

/** The `params` of a manifest under the overrides that name one; reports those that name nothing. */
export function readParams(
  node: YamlNode | undefined,
  { source, steps, overrides, report }: ParamsContext,
): Map<string, Param> {
  const params = new Map<string, Param>();
  for (const [name, { mark, value }] of node?.type === "map" ? node.entries : []) {
    if (!/^[A-Za-z_][\w-]*$/.test(name)) {
      const message = `Cannot name a param "${name}": expected letters, digits, "_" and "-"`;
      report({ source, mark, message });
    }
    const scalar = value.type === "scalar" ? value.value : null;
    if (scalar === null) {
      const what = value.type === "scalar"
        ? "nothing"
        : value.type === "list"
        ? "a list"
        : "a mapping";
      const message = `Cannot type param "${name}": its default is ${what}`;
      const wanted = "expected a number, text, true or false";
      report({ source, mark: value.mark, message: `${message}, ${wanted}` });
    }
    const override = overrides.findLast(({ path }) => path.length === 1 && path[0] === name);
    params.set(name, { name, mark, default: scalar, ...override && { override } });
  }
  for (const override of overrides) {
    const [first, second] = override.path;
    if (second === undefined ? params.has(first) : steps.includes(first)) continue;
    const known = second === undefined
      ? [...params.keys(), ...steps.map((step) => `${step}.key`)]
      : steps;
    const what = second === undefined ? `param "${first}"` : `step "${first}"`;
    const message = `Cannot find ${what}: ${suggestion(first, known)}`;
    report({ source: overrideSource(override), message });
  }
  return params;
}

/** Reports uses of unknown params, params without a use, and overrides of a type that cannot be. */
export function checkReferences(
  references: readonly Reference[],
  { params, source, report }: {
    readonly params: ReadonlyMap<string, Param>;
    readonly source: string;
    readonly report: Report;
  },
): void {
  for (const { name, mark } of references.filter(({ name }) => !params.has(name))) {
    const message = `Cannot find param "${name}": ${suggestion(name, [...params.keys()])}`;
    report({ source, mark, message });
  }
  for (const param of params.values()) {
    const uses = references.filter(({ name }) => name === param.name);
    if (uses.length === 0) {
      const message = `Cannot find a use of param "${param.name}"`;
      const wanted = `expected \${${param.name}} in the "with" of a step`;
      report({ source, mark: param.mark, message: `${message}: ${wanted}` });
    }
    // Where a param is a whole value, the stage's own schema judges it, which knows more.
    if (uses.some(({ whole }) => !whole)) checkOverride(param, report);
  }
}

function checkOverride({ name, override, default: usual }: Param, report: Report): void {
  if (override === undefined || typeof usual === "string") return;
  if (typeof override.value === typeof usual) return;
  const given = `${JSON.stringify(override.literal)} is ${typeWord(override.value)}`;
  const message = `Cannot set param "${name}": ${given}, expected ${typeWord(usual)}`;
  report({ source: overrideSource(override), message });
}
