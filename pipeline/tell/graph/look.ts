import type { GraphNode, NodeState } from "../graph.ts";
import { formatSeconds } from "../../words.ts";

/** How a state is drawn. */
export interface Look {
  /** Its name as a class. */
  readonly name: string;
  readonly fill: string;
  readonly line: string;
  /** The same where the page is dark. */
  readonly dark: { readonly fill: string; readonly line: string };
}

const BLUE = { fill: "#ddf4ff", line: "#0969da", dark: { fill: "#0c2d4f", line: "#58a6ff" } };
const GREEN = { fill: "#dafbe1", line: "#1a7f37", dark: { fill: "#12361f", line: "#3fb950" } };
const YELLOW = { fill: "#fff8c5", line: "#9a6700", dark: { fill: "#3d2e06", line: "#d29922" } };
const RED = { fill: "#ffebe9", line: "#cf222e", dark: { fill: "#4a1216", line: "#f85149" } };
const GREY = { fill: "#f6f8fa", line: "#818b98", dark: { fill: "#21262d", line: "#818b98" } };

/** How each state is drawn: blue is there, green is made, yellow is open, red cannot be. */
export const STATE_LOOKS: Readonly<Record<NodeState, Look>> = {
  hit: { name: "hit", ...BLUE },
  "hit (remote)": { name: "remote", ...BLUE },
  run: { name: "run", ...GREEN },
  "run?": { name: "maybe", ...YELLOW },
  forced: { name: "forced", ...GREEN },
  stopped: { name: "stopped", ...YELLOW },
  blocked: { name: "blocked", ...RED },
  failed: { name: "failed", ...RED },
  skipped: { name: "skipped", ...GREY },
  waiting: { name: "waiting", ...GREY },
};

/** The line below a node's name: its stage, its state and what it took. */
export function nodeWords({ stage, state, seconds }: GraphNode): string {
  return [stage, state, ...seconds === undefined ? [] : [formatSeconds(seconds)]].join(", ");
}

/** The looks of some nodes, each once. */
export function looksOf(nodes: readonly GraphNode[]): readonly Look[] {
  return [...new Set(nodes.map(({ state }) => STATE_LOOKS[state]))];
}
