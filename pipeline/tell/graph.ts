import type { EndState, PlanState } from "../event.ts";

/** What a plan or a run says of a step; `waiting` ones of a run were not reached yet. */
export type NodeState = PlanState | EndState | "waiting";

/** A step as a graph shows it. */
export interface GraphNode {
  readonly name: string;
  readonly stage: string;
  readonly state: NodeState;
  /** Kind of its artifact. */
  readonly kind?: string;
  /** Why it has this state, in words. */
  readonly reason?: string;
  readonly key?: string;
  /** What its artifact took when it was made, as far as a run tells. */
  readonly seconds?: number;
}

/** An artifact on its way into an input of a step. */
export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly input: string;
}

/** Steps and what they feed each other. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

/** Nodes with the edges that their steps' inputs make. */
export function graphOf(
  steps: readonly (GraphNode & {
    readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  })[],
): Graph {
  return {
    nodes: steps.map(({ inputs: _, ...node }) => node),
    edges: steps.flatMap(({ name, inputs }) =>
      Object.entries(inputs).flatMap(([input, feeds]) =>
        [feeds].flat().map((from) => ({ from, to: name, input }))
      )
    ),
  };
}

/** An edge as a drawing shows it: all inputs that one step feeds of another. */
export interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly inputs: readonly string[];
}

/** The edges of a graph by the places of their nodes, one for each two of them. */
export function arrowsOf({ nodes, edges }: Graph): readonly Arrow[] {
  const places = new Map(nodes.map(({ name }, place) => [name, place]));
  const arrows = new Map<string, Arrow & { readonly inputs: string[] }>();
  for (const { from, to, input } of edges) {
    const ends = { from: places.get(from) ?? -1, to: places.get(to) ?? -1 };
    const name = `${ends.from} ${ends.to}`;
    const arrow = arrows.get(name) ?? { ...ends, inputs: [] };
    // A list may name a step twice.
    if (!arrow.inputs.includes(input)) arrow.inputs.push(input);
    arrows.set(name, arrow);
  }
  return [...arrows.values()];
}
