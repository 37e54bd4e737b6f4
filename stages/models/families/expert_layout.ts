import type { ExpertNames, ExpertsConfig } from "../experts_config.ts";
import type { Feeder, LayerLinear, LayerSite, LinearOutline, LinearRole } from "../site.ts";
import { expertTap, roleOf } from "../site.ts";
import { outputs, tensorsOf } from "./linear_tensors.ts";

/** Sites of experts: one input for all of them, their routers and the shared one, and one inside each. */
export function expertSites(
  { count, inner, shared: sharedInner, names }: ExpertsConfig,
  { hidden, layer, prefix, fedBy }: {
    readonly hidden: number;
    readonly layer: number;
    readonly prefix: string;
    /** What makes the input. */
    readonly fedBy: Feeder;
  },
): {
  readonly sites: LayerSite[];
  readonly tensors: [string, number[]][];
  readonly stacks: [string, string[]][];
} {
  const linearsOf = (
    block: string,
    { gate, up, down }: Pick<ExpertNames, "gate" | "up" | "down">,
    { inner, expert }: { readonly inner: number; readonly expert?: number },
  ): Mlp => {
    const linear = (role: LinearRole, name: string, rows: number, columns: number): LayerLinear => {
      const module = `${block}.${name}`;
      const own = { name: `${prefix}.${module}`, weight: `${prefix}.${module}.weight` };
      const of = expert === undefined ? {} : { expert };
      return { ...own, bias: undefined, layer, role, module, rows, columns, ...of };
    };
    return {
      gate: linear("gate", gate, inner, hidden),
      up: linear("up", up, inner, hidden),
      down: linear("down", down, hidden, inner),
    };
  };
  const { block, shared } = names;
  const experts = Array.from(
    { length: count },
    (_, expert) => linearsOf(`${block}.experts.${expert}`, names, { inner, expert }),
  );
  const beside = shared && sharedInner !== undefined
    ? linearsOf(`${block}.${shared.expert}`, SHARED, { inner: sharedInner })
    : undefined;
  const router = (name: string, rows: number): LinearOutline => {
    const own = `${prefix}.${block}.${name}`;
    return { name: own, weight: `${own}.weight`, bias: undefined, rows, columns: hidden };
  };
  const routers = [router("gate", count), ...beside ? [router(shared!.gate, 1)] : []];
  const all = [...experts, ...beside ? [beside] : []];
  const input = `layers.${layer}.${roleOf("up_proj")}`;
  const output = `layers.${layer}.${roleOf("down_proj")}`;
  return {
    sites: [
      {
        name: input,
        layer,
        role: roleOf("up_proj"),
        projection: "up_proj",
        residual: "read",
        channels: hidden,
        fedBy,
        linears: all.flatMap(({ gate, up }) => [gate, up]),
        routers,
      },
      ...all.map(({ up, down }): LayerSite => ({
        name: down.expert === undefined ? output : expertTap(output, down.expert),
        layer,
        role: roleOf("down_proj"),
        projection: "down_proj",
        residual: "written",
        channels: down.columns,
        fedBy: outputs(up),
        linears: [down],
        ...down.expert === undefined ? {} : { expert: down.expert },
      })),
    ],
    tensors: [...routers, ...all.flatMap(({ gate, up, down }) => [gate, up, down])]
      .flatMap(tensorsOf),
    stacks: stacksOf(prefix, experts, { names, router: routers[0]! }),
  };
}

/**
 * How others hold experts one below the other: llama.cpp the linears of one role, under what names
 * without a number stand for here, and models that transformers 5 has in memory gates with what they
 * gate, where a router may have another name.
 */
function stacksOf(
  prefix: string,
  experts: readonly Mlp[],
  { names: { block, ...names }, router }: {
    readonly names: ExpertNames;
    readonly router: LinearOutline;
  },
): [string, string[]][] {
  const roles = (["gate", "up", "down"] as const).map((role): [string, string[]] => [
    `${prefix}.${block}.experts.${names[role]}.weight`,
    experts.map((expert) => expert[role].weight),
  ]);
  const held = `${prefix}.mlp`;
  return [
    ...roles,
    [`${held}.experts.gate_up_proj`, experts.flatMap(({ gate, up }) => [gate.weight, up.weight])],
    [`${held}.experts.down_proj`, experts.map(({ down }) => down.weight)],
    ...block === "mlp" ? [] : [[`${held}.gate.weight`, [router.weight]] as [string, string[]]],
  ];
}

const SHARED = { gate: "gate_proj", up: "up_proj", down: "down_proj" } as const;

interface Mlp {
  readonly gate: LayerLinear;
  readonly up: LayerLinear;
  readonly down: LayerLinear;
}
